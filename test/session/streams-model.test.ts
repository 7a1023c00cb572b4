import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockReader, isDelta } from "../../src/claude/messages/block-reader.ts";
import type { EventDraft, SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { EventPosition } from "../../src/session/streams/event-id.ts";
import { EventLog } from "../../src/session/streams/event-log.ts";
import type { RecordReads } from "../../src/session/streams/recorded-output.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import { turnResponse } from "../../src/session/streams/sse.ts";
import type { TurnSource } from "../../src/session/streams/turn-source.ts";
import { uiMessageStreamResponse } from "../../src/session/streams/ui-message-stream-response.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import {
  assistant,
  blockDelta,
  blockStart,
  messageStart,
  success,
  textBlock,
  thinkingBlock,
  toolBlock,
  user,
} from "./messages.ts";
import { readUI } from "./ui-messages.ts";

/** A piece of what Claude writes: a message of its own has `pieces`, or calls a tool. */
interface Said {
  readonly type: "text" | "thinking" | "tool_use";
  readonly pieces: readonly string[];
  /** Whether the pieces arrive before the whole block. */
  readonly isStreamed: boolean;
}

type Step =
  /** The process sends that many messages. */
  | { readonly type: "send"; readonly messages: number }
  /** The process dies, and the turn runs again in the same application. */
  | { readonly type: "crash" }
  /** The application dies. The turn runs again, or, if it has ended, only the journal has it. */
  | { readonly type: "restart" }
  /** The page loses its connection, and comes back. */
  | { readonly type: "reconnect" }
  /** The page reads that many pieces. */
  | { readonly type: "read"; readonly pieces: number };

const said: fc.Arbitrary<Said> = fc.record({
  type: fc.constantFrom("text", "text", "thinking", "tool_use"),
  pieces: fc.array(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
  isStreamed: fc.boolean(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("send"), messages: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("crash") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart") }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("reconnect") }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant("read"), pieces: fc.integer({ min: 1, max: 5 }) }) },
);

const TURN = "the-turn";
const REPLY: Reply = {
  text: "",
  usage: { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
  costUsd: 0.1,
  models: [],
  sessionId: "s",
  turnId: TURN,
  stopReason: "end_turn",
  durationMs: 1,
};

/** Returns the messages of an attempt. Each block is in an API message of its own, with its result if it is a tool call. */
function messagesOf(attempt: number, script: readonly Said[]): SDKMessage[] {
  const messages = script.flatMap(({ type, pieces, isStreamed }, index): SDKMessage[] => {
    const id = `m${attempt}-${index}`;
    const whole = pieces.join("");
    if (type === "tool_use") {
      const result = { type: "tool_result", tool_use_id: `t${id}`, content: whole } as const;
      return [assistant(id, [toolBlock(`t${id}`, "Read", { whole })]), user([result])];
    }
    const block = type === "text" ? textBlock(whole) : thinkingBlock(whole);
    if (!isStreamed) return [assistant(id, [block])];
    const deltas = pieces.map((text) =>
      blockDelta(
        type === "text"
          ? { type: "text_delta", text }
          : { type: "thinking_delta", thinking: text, estimated_tokens: null },
      ),
    );
    const begun = blockStart(type === "text" ? textBlock("") : thinkingBlock(""));
    return [messageStart(id), begun, ...deltas, assistant(id, [block])];
  });
  return [...messages, success()];
}

/** A turn in one application, which keeps only the last few messages. */
class AppTurn implements TurnSource {
  readonly id = TURN;
  readonly origin = "caller";
  readonly by = undefined;
  readonly metadata = undefined;
  readonly promptId = undefined;
  readonly life: string;
  readonly shown = [];
  readonly touched = true;
  readonly left = false;
  readonly continues = false;
  readonly accepted = Promise.resolve();
  readonly log: EventLog<SDKMessage>;
  readonly recalled: boolean;
  readonly #settle: PromiseWithResolvers<Reply> = Promise.withResolvers();
  readonly result = this.#settle.promise;
  readonly #starts: number[] = [];
  readonly #before: number;
  state: TurnSource["state"] = "running";

  constructor(life: string, before: number, kept: number, recalled: boolean) {
    this.life = life;
    this.#before = before;
    this.recalled = recalled;
    this.log = new EventLog("turn", kept);
    if (recalled) this.end();
  }

  get attempts(): number {
    return this.#before + this.#starts.length;
  }

  positionOf(number: number): EventPosition {
    const attempt = this.#before + this.#starts.findLastIndex((start) => start <= number) + 1;
    return { life: this.life, attempt, number };
  }

  start(): void {
    this.#starts.push(this.log.length);
  }

  end(): void {
    this.state = "completed";
    this.log.end();
    this.#settle.resolve(REPLY);
  }
}

/** A session's record: what its readers may see. */
class Events {
  readonly #all: SessionEvent[] = [];
  #more: PromiseWithResolvers<void> = Promise.withResolvers();

  append(draft: EventDraft): void {
    this.#all.push({ ...draft, v: 1, at: 0, number: this.#all.length + 1 });
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  readonly reads: RecordReads = {
    events: (options) => this.#read(options),
    content: async () => undefined,
  };

  async *#read({ after = 0, turn, types, live = true }: Parameters<RecordReads["events"]>[0]) {
    for (let at = after; ; at++) {
      while (at >= this.#all.length) {
        if (!live) return;
        await this.#more.promise;
      }
      const event = this.#all[at];
      if (event === undefined || !("turnId" in event)) continue;
      if (turn !== undefined && event.turnId !== turn) continue;
      if (types === undefined || types.includes(event.type)) yield event;
      if (event.type === "turn_ended") return;
    }
  }
}

/** The turn over all applications. */
class World {
  readonly #script: readonly Said[];
  readonly #kept: number;
  readonly events = new Events();
  turn: AppTurn;
  #attempt = 0;
  #sent = 0;
  #messages: readonly SDKMessage[] = [];
  #blocks = new BlockReader();
  #lives = 1;

  constructor(script: readonly Said[], kept: number) {
    this.#script = script;
    this.#kept = kept;
    this.turn = new AppTurn("life-1", 0, kept, false);
    this.events.append({ type: "turn_accepted", turnId: TURN, origin: "caller", prompt: "go" });
    this.#start();
  }

  get hasEnded(): boolean {
    return this.turn.state === "completed";
  }

  send(count: number): void {
    for (let n = 0; n < count && !this.hasEnded; n++) {
      const message = this.#messages[this.#sent++];
      if (message === undefined) throw new Error("the attempt has no end");
      for (const block of this.#blocks.read(message, { withDeltas: true })) {
        if (!isDelta(block)) this.events.append({ ...block, turnId: TURN });
      }
      this.turn.log.append(message);
      if (message.type !== "result") continue;
      this.events.append({ type: "turn_ended", turnId: TURN, state: "completed" });
      this.turn.end();
    }
  }

  crash(): void {
    if (this.hasEnded) return;
    this.events.append({ type: "turn_retried", turnId: TURN, reason: "process_ended" });
    this.#start();
  }

  restart(): void {
    const { hasEnded } = this;
    this.turn = new AppTurn(`life-${++this.#lives}`, this.#attempt, this.#kept, hasEnded);
    if (hasEnded) return;
    this.events.append({ type: "turn_retried", turnId: TURN, reason: "restarted" });
    this.#start();
  }

  #start(): void {
    this.#attempt++;
    this.#sent = 0;
    this.#messages = messagesOf(this.#attempt, this.#script);
    this.#blocks = new BlockReader();
    this.events.append({ type: "turn_started", turnId: TURN, attempt: this.#attempt });
    this.turn.start();
  }
}

/** The page of the guide. */
class Page {
  readonly #world: World;
  output = "";
  hasResult = false;
  #lastEventId: string | null = null;
  #reader: ReadableStreamDefaultReader<string> | undefined;
  #pending: Promise<unknown> | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async connect(): Promise<void> {
    await this.#reader?.cancel();
    await this.#pending;
    const { turn, events } = this.#world;
    const options = { lastEventId: this.#lastEventId, clock: new SimulatedClock() };
    const parser = createParser({ onEvent: ({ event, data, id }) => this.#take(event, JSON.parse(data), id) });
    const { body } = turnResponse(turn, events.reads, options);
    const reader = body?.pipeThrough(new TextDecoderStream(), { preventCancel: false }).getReader();
    this.#reader = reader;
    this.#pending = undefined;
    this.#feed = (text) => parser.feed(text);
  }

  #feed: (text: string) => void = () => {};

  /** Reads that many pieces, as far as there are any. */
  async read(pieces: number): Promise<void> {
    for (let n = 0; n < pieces && !this.hasResult; n++) {
      this.#pending ??= this.#next(this.#reader, this.#feed);
      const isRead = await Promise.race([this.#pending.then(() => true), idle().then(() => false)]);
      if (!isRead) return;
      this.#pending = undefined;
    }
  }

  async #next(reader: ReadableStreamDefaultReader<string> | undefined, feed: (text: string) => void): Promise<void> {
    const next = await reader?.read();
    if (next?.value !== undefined) feed(next.value);
  }

  #take(event = "", data: { readonly text?: string; readonly id?: string }, id: string | undefined): void {
    this.#lastEventId = id ?? this.#lastEventId;
    if (event === "retry") this.output = "";
    if (event === "text" || event === "thinking") this.output += data.text;
    if (event === "tool_use") this.output += `<${data.id}>`;
    if (event === "error" || event === "lost") throw new Error(`the page gets ${event}`);
    if (event === "result") this.hasResult = true;
  }
}

async function idle(): Promise<void> {
  for (let n = 0; n < 4; n++) await new Promise((resolve) => setImmediate(resolve));
}

function expectedOf(attempt: number, script: readonly Said[]): string {
  return script
    .map(({ type, pieces }, index) => (type === "tool_use" ? `<tm${attempt}-${index}>` : pieces.join("")))
    .join("");
}

test("a page that follows the guide shows the last attempt's whole output, once, over crashes, restarts and lost messages", async () => {
  const runs = fc.asyncProperty(
    fc.array(said, { minLength: 1, maxLength: 5 }),
    fc.constantFrom(4, 1_000),
    fc.array(step, { maxLength: 25 }),
    async (script, kept, steps) => {
      const world = new World(script, kept);
      const page = new Page(world);
      await page.connect();
      for (const one of steps) {
        if (one.type === "send") world.send(one.messages);
        else if (one.type === "crash") world.crash();
        else if (one.type === "restart") {
          world.restart();
          await page.connect();
        } else if (one.type === "reconnect") await page.connect();
        else await page.read(one.pieces);
      }
      world.send(1_000);
      for (let n = 0; n < 100 && !page.hasResult; n++) await page.read(10);
      expect(page.hasResult).toBe(true);
      const expected = expectedOf(world.turn.attempts, script);
      expect(page.output).toBe(expected);
      // A page of the AI SDK resumes from the beginning.
      const response = uiMessageStreamResponse(world.turn, world.events.reads, "session", {});
      const { message, errors } = await readUI(response);
      expect(errors).toEqual([]);
      if (world.turn.recalled) {
        const parts = message?.parts.map((part) => {
          if (part.type === "text" || part.type === "reasoning") return part.text;
          return part.type === "dynamic-tool" ? `<${part.toolCallId}>` : "";
        });
        expect(parts?.join("")).toBe(expected);
      }
    },
  );
  await fc.assert(runs, { numRuns: Number(process.env["MODEL_RUNS"] ?? 400) });
}, 60_000);
