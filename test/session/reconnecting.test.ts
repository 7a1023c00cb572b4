import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { eventId, Resumption } from "../../src/session/streams/event-id.ts";
import { shownIn } from "../../src/session/streams/kept-shown.ts";
import type { TurnEnd } from "../../src/session/streams/reply.ts";
import { Turn } from "../../src/session/streams/turn.ts";
import { outcomeOf } from "../../src/session/streams/turn-end.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { settle } from "../supervision/simulated-clock.ts";
import { assistant, keepAlive, messageStart, success, textBlock, textDelta, toolBlock } from "./messages.ts";
import { NO_CALLS } from "./no-calls.ts";
import { replyOf } from "./replies.ts";

/** What one attempt shows: texts, streamed or whole, and tool uses. */
type Step = { readonly text: string; readonly streams: boolean } | { readonly tool: string } | "nothing";

/** A run of the application: its attempts, and after how many events the page loses its connection each time. */
interface Life {
  readonly tries: readonly (readonly Step[])[];
  readonly cuts: readonly number[];
}

/** An SSE client that reconnects with the id of the last event. */
class Page {
  readonly shown: string[] = [];
  ends = 0;
  #lastEventId: string | null = null;

  /** Reads up to `most` pieces of the stream, as many as are there, or to its end. */
  async read(turn: Turn, most = Number.POSITIVE_INFINITY): Promise<void> {
    const reader = turn.toResponse({ lastEventId: this.#lastEventId }).body?.pipeThrough(new TextDecoderStream());
    const pieces = reader?.getReader();
    const parser = createParser({ onEvent: ({ event, data, id }) => this.#take(event ?? "", JSON.parse(data), id) });
    for (let count = 0; count < most; count++) {
      const next = await Promise.race([pieces?.read(), settle()]);
      if (next === undefined || next.done) break;
      parser.feed(next.value);
    }
    await pieces?.cancel();
  }

  #take(event: string, data: { readonly text?: string; readonly id?: string }, id: string | undefined): void {
    if (id !== undefined) this.#lastEventId = id;
    if (event === "retry") this.shown.length = 0;
    if (event === "text") this.shown.push(data.text ?? "");
    if (event === "tool_use") this.shown.push(`<${data.id}>`);
    if (event === "result" || event === "error") this.ends++;
  }

  get text(): string {
    return this.shown.join("");
  }
}

let messages = 0;

function messagesOf(step: Step): SDKMessage[] {
  const id = `m${++messages}`;
  if (step === "nothing") return [keepAlive()];
  if ("tool" in step) return [assistant(id, [toolBlock(step.tool, "Bash")])];
  const whole = assistant(id, [textBlock(step.text)]);
  return step.streams ? [messageStart(id), ...[...step.text].map((text) => textDelta(text)), whole] : [whole];
}

const textOf = (steps: readonly Step[]): string =>
  steps.map((step) => (step === "nothing" ? "" : "tool" in step ? `<${step.tool}>` : step.text)).join("");

const turnOf = (record: TurnRecord): Turn => new Turn(record, "a", NO_CALLS);

/** Plays the lives of a turn to a page that keeps losing its connection. */
async function play(
  lives: readonly Life[],
  ending: "completes" | "fails" | "recalled" | "recalled failed",
): Promise<Page> {
  const page = new Page();
  let attempts = 0;
  for (const [index, { tries, cuts }] of lives.entries()) {
    const isLast = index === lives.length - 1;
    const record = new TurnRecord("turn", "prompt", "a", { life: `life-${index}`, attempts });
    record.enqueued();
    for (const [at, steps] of tries.entries()) {
      if (at > 0) record.requeued();
      record.started();
      for (const step of steps) for (const message of messagesOf(step)) record.append(message);
      for (const cut of cuts) await page.read(turnOf(record), cut);
    }
    attempts = record.attempts;
    if (!isLast) continue;
    const text = tries.at(-1)?.findLast((step) => typeof step === "object" && "text" in step);
    const reply = replyOf({ text: typeof text === "object" && "text" in text ? text.text : "" });
    const error = new CastellanError("SESSION_STOPPED", "it is over.");
    const failed = ending === "fails" || ending === "recalled failed";
    const end: TurnEnd = failed ? { error } : { reply, output: undefined };
    const outcome = JSON.parse(JSON.stringify(outcomeOf(end, record.known)));
    if (failed) record.fail("failed", error);
    else {
      record.append(success());
      record.complete(reply);
    }
    let last = record;
    if (ending.startsWith("recalled")) {
      last = new TurnRecord("turn", "prompt", "a", { life: "unused", attempts });
      last.recall(failed ? "failed" : "completed", end, shownIn(outcome, end));
      for (const cut of cuts) await page.read(turnOf(last), cut);
      page.ends = 0;
    }
    await page.read(turnOf(last));
  }
  return page;
}

const word = fc.string({ unit: fc.constantFrom("a", "b", "c", " "), minLength: 1, maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ text: word, streams: fc.boolean() }),
  fc.record({ tool: fc.constantFrom("t1", "t2") }),
  fc.constant("nothing" as const),
);
const life: fc.Arbitrary<Life> = fc.record({
  tries: fc.array(fc.array(step, { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
  cuts: fc.array(fc.nat(5), { maxLength: 2 }),
});
const story = fc.array(life, { minLength: 1, maxLength: 3 });
const ending = fc.constantFrom("completes" as const, "fails" as const, "recalled" as const, "recalled failed" as const);

describe("turn.toResponse(), of a page that keeps reconnecting", () => {
  it("shows the last attempt once and whole in the end, for any outcome", async () => {
    await fc.assert(
      fc.asyncProperty(story, ending, async (lives, how) => {
        const page = await play(lives, how);
        expect(page.text).toBe(textOf(lives.at(-1)?.tries.at(-1) ?? []));
        expect(page.ends).toBe(1);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});

describe("Resumption", () => {
  const at = (life: string, attempt: number, number: number) => ({ life, attempt, number });

  it("admits everything for a client without an id", () => {
    for (const id of [null, undefined, ""]) {
      const client = new Resumption(id);
      expect(client.isVoid(7, true)).toBe(false);
      expect([at("a", 1, 0), at("a", 1, 1)].map((place) => client.admit(place))).toEqual(["next", "next"]);
    }
  });

  it("admits events after the client's last one", () => {
    const client = new Resumption(eventId(at("a", 1, 1)));
    const places = [at("a", 1, 0), at("a", 1, 1), at("a", 1, 4), at("a", 2, 5), at("a", 2, 6)];
    expect(places.map((place) => client.admit(place))).toEqual(["seen", "seen", "next", "anew", "next"]);
  });

  it("sends everything anew to a client of another life, also of the same attempt", () => {
    const client = new Resumption(eventId(at("a", 1, 9)));
    expect([at("b", 1, 0), at("b", 1, 1)].map((place) => client.admit(place))).toEqual(["anew", "next"]);
  });

  it("skips nothing of a former life once the client has been reset", () => {
    const client = new Resumption(eventId(at("b", 2, 1)));
    const places = [at("a", 1, 0), at("b", 2, 0), at("b", 2, 1), at("b", 2, 2)];
    expect(places.map((place) => client.admit(place))).toEqual(["anew", "anew", "next", "next"]);
  });

  it("reads back any id that eventId() writes", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.nat(), (name, attempt, number) => {
        const client = new Resumption(eventId(at(name, attempt, number)));
        expect(client.admit(at(name, attempt, number))).toBe("seen");
        expect(client.admit(at(name, attempt, number + 1))).toBe("next");
      }),
    );
  });
});
