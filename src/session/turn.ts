import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { SessionName } from "../names.ts";
import type { Reply } from "./reply.ts";
import { type SseOptions, turnResponse } from "./sse.ts";
import { type Delta, DeltaReader, type ToolUse, toolUsesOf } from "./transcript.ts";
import type { TurnRecord } from "./turn-record.ts";
import type { TurnState } from "./turn-state.ts";

/** A message of a turn and its number, which counts from 0. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: SDKMessage;
}

/**
 * One prompt and all that comes of it.
 *
 * A turn goes on whether or not anybody reads it. Any number of readers can be attached, at any time; leaving a loop
 * detaches that reader and nothing else. To stop the turn, call {@link Turn.interrupt} or abort the signal it was asked
 * with. Every reader, and {@link Turn.result}, fails with the error that ended the turn, so a stream that finishes
 * without an error is complete.
 *
 * @example
 * const turn = stream("assistant", "Analyse this data");
 * for await (const text of turn.text()) process.stdout.write(text);
 * const { costUsd } = await turn.result();
 */
export class Turn implements AsyncIterable<SDKMessage> {
  readonly #record: TurnRecord;
  readonly #interrupt: () => Promise<void>;
  /** The session's name. */
  readonly session: SessionName;

  /** Made by a session. */
  constructor(record: TurnRecord, session: SessionName, interrupt: () => Promise<void>) {
    this.#record = record;
    this.session = session;
    this.#interrupt = interrupt;
  }

  get id(): string {
    return this.#record.id;
  }

  get state(): TurnState {
    return this.#record.state;
  }

  /**
   * The finished turn.
   *
   * @throws CastellanError `TURN_FAILED`, `TURN_INTERRUPTED`, `TURN_TIMEOUT`, `TURN_CANCELLED`, `QUEUE_TIMEOUT`, or what
   * happened to the session: `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`.
   */
  result(): Promise<Reply> {
    return this.#record.result;
  }

  /** The messages of the Agent SDK, from number `from` on, each with its number. Numbers count from 0. */
  async *messages(from = 0): AsyncGenerator<NumberedMessage, void, undefined> {
    for await (const { number, event: message } of this.#record.log.read(from)) yield { number, message };
  }

  /** The messages of the Agent SDK. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SDKMessage, void, undefined> {
    for await (const { message } of this.messages()) yield message;
  }

  /** What Claude writes and thinks, piece by piece. */
  async *deltas(): AsyncGenerator<Delta, void, undefined> {
    const reader = new DeltaReader();
    for await (const message of this) yield* reader.read(message);
  }

  /** What Claude writes, piece by piece; with `includePartialMessages: false` block by block. Subagents are left out. */
  async *text(): AsyncGenerator<string, void, undefined> {
    for await (const delta of this.deltas()) if (delta.type === "text") yield delta.text;
  }

  /** What Claude thinks, piece by piece. */
  async *thinking(): AsyncGenerator<string, void, undefined> {
    for await (const delta of this.deltas()) if (delta.type === "thinking") yield delta.text;
  }

  /** The tools that are called, those of subagents among them. */
  async *toolUses(): AsyncGenerator<ToolUse, void, undefined> {
    for await (const message of this) yield* toolUsesOf(message);
  }

  /**
   * Stops the turn and resolves when it has ended. One that still waits is cancelled and never runs; one that runs ends
   * with `TURN_INTERRUPTED`, unless it finishes first. Does nothing to a turn that has ended.
   */
  interrupt(): Promise<void> {
    return this.#interrupt();
  }

  /**
   * The turn as server-sent events, for a web page; see {@link TurnEvents} for what they carry. Their ids are message
   * numbers: a browser that reconnects sends the last one as `Last-Event-ID`; give it as `lastEventId`.
   *
   * @example
   * app.post("/ask", async (c) => stream("assistant", await c.req.text()).toResponse());
   */
  toResponse(options: SseOptions = {}): Response {
    return turnResponse(this, options);
  }
}
