import { randomUUID } from "node:crypto";
import { parseArguments } from "../src/testing/fake-claude/fake-arguments.ts";
import { answerTo, handshake } from "../src/testing/fake-claude/fake-control.ts";
import { FakeCosts } from "../src/testing/fake-claude/fake-costs.ts";
import {
  assistantMessage,
  CLAUDE_CODE_VERSION,
  type FakeEcho,
  stamp,
} from "../src/testing/fake-claude/fake-messages.ts";
import { type FakeResult, resultMessage } from "../src/testing/fake-claude/fake-result.ts";
import { FakeSettings } from "../src/testing/fake-claude/fake-settings.ts";
import { objectOf, parseLine, stringOf, type WireObject } from "../src/testing/fake-claude/fake-wire.ts";
import { asksMessage, pieces, piecesAsked } from "./pieces.ts";

/** The last prompt of each conversation, by its id, shared by the processes that resume it. */
export type Memory = Map<string, string>;

const LONGEST_ANSWER = 500_000;

const USAGE = { inputTokens: 10, outputTokens: 10, costUsd: 0.01 };

/**
 * A minimal Claude Code, which answers at once and keeps only the last prompt.
 *
 * - `Stream 2000 pieces.` streams a text in that many pieces.
 * - `What did I just say?` returns the previous prompt, like `mockApi`.
 * - `Hang.` runs until an interrupt; `Die.` ends the process.
 * - It repeats every other prompt, unless the prompt is longer than any model's answer.
 */
export class PlainClaude {
  readonly #settings: FakeSettings;
  readonly #memory: Memory;
  readonly #die: () => void;
  readonly #sessionId: string;
  readonly #costs = new FakeCosts();
  #results = 0;
  /** The prompt of the hanging turn. */
  #hanging: FakeEcho | undefined;

  constructor(args: readonly string[], memory: Memory, die: () => void) {
    const read = parseArguments(args);
    this.#settings = new FakeSettings(read, process.cwd(), {}, () => {});
    this.#memory = memory;
    this.#die = die;
    this.#sessionId = (read.forkSession ? undefined : read.resume) ?? read.sessionId ?? randomUUID();
  }

  /** Handles a line of standard input. Yields the output in chunks of lines. */
  *take(line: string): Generator<string, void, undefined> {
    const message = parseLine(line);
    if (message?.["type"] === "user") yield* this.#prompted(message);
    if (message?.["type"] !== "control_request") return;
    const request = objectOf(message, "request");
    yield lineOf({ type: "control_response", response: this.#answer(message["request_id"], request) });
    if (request["subtype"] !== "interrupt" || this.#hanging === undefined) return;
    yield this.#result({ subtype: "error_during_execution" }, this.#hanging);
    this.#hanging = undefined;
  }

  #answer(id: unknown, request: WireObject): WireObject {
    const { model, permissionMode } = this.#settings;
    const initializes = request["subtype"] === "initialize";
    const facts = {
      pid: process.pid,
      model,
      permissionMode,
      initialize: initializes ? request : {},
      characters: 0,
      commands: [],
      version: CLAUDE_CODE_VERSION,
    };
    const response = initializes ? handshake(facts) : (answerTo(request, facts) ?? {});
    return { subtype: "success", request_id: id, response };
  }

  *#prompted(message: WireObject): Generator<string, void, undefined> {
    const uuid = stringOf(message, "uuid") ?? randomUUID();
    const echo = { user_message_uuid: uuid, user_message_uuids: [uuid] };
    const prompt = stringOf(objectOf(message, "message"), "content") ?? "";
    if (prompt === "Die.") {
      this.#die();
      return;
    }
    const init = lineOf(stamp(this.#settings.init([uuid]), this.#sessionId));
    if (prompt === "Hang.") {
      this.#hanging = echo;
      yield init;
      return;
    }
    const count = piecesAsked(prompt);
    if (count > 0) {
      yield init;
      yield* pieces(count, this.#sessionId, asksMessage(prompt));
    }
    const text = this.#text(prompt);
    const answer = assistantMessage("msg_bench", this.#settings.model, { type: "text", text }, echo);
    const said = lineOf(stamp(answer, this.#sessionId));
    yield (count > 0 ? "" : init) + said + this.#result({ text }, echo);
  }

  #text(prompt: string): string {
    const before = this.#memory.get(this.#sessionId);
    this.#memory.set(this.#sessionId, prompt);
    if (prompt.length > LONGEST_ANSWER) return `You said ${prompt.length} characters.`;
    if (!prompt.startsWith("What did I just say?")) return `You said: ${prompt}`;
    return before === undefined ? "You have not said anything yet." : `You just said: ${before}`;
  }

  #result(result: FakeResult, echo: FakeEcho): string {
    const message = resultMessage(result, {
      echo,
      startedAt: performance.now(),
      steps: 1,
      partialMessages: this.#settings.partialMessages,
      apiMessageIds: ["msg_bench"],
      stopReason: "end_turn",
      usage: USAGE,
      turnUsage: this.#costs.add(this.#settings.model, USAGE),
      totalCostUsd: this.#costs.totalCostUsd,
      modelUsage: this.#costs.modelUsage,
      denials: [],
      queued: 0,
      resultIndex: this.#results++,
    });
    return lineOf(stamp(message, this.#sessionId));
  }
}

function lineOf(message: WireObject): string {
  return `${JSON.stringify(message)}\n`;
}
