import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Delta, ToolUse } from "../../claude/messages/shown.ts";
import { CastellanError } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { formatName, type SessionName } from "../../names.ts";
import type { SteerOptions } from "../options/steer-options.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import type { EventStreamOptions } from "./event-stream-response.ts";
import type { RecordReads } from "./recorded-output.ts";
import type { Reply } from "./reply.ts";
import { APPROVAL_EVENTS } from "./shown-approval.ts";
import { type SseOptions, type TurnApprovals, turnResponse } from "./sse.ts";
import { turnEvents } from "./turn-events.ts";
import type { NumberedMessage } from "./turn-reader.ts";
import { piecesOf, type TriedPiece } from "./turn-reader.ts";
import type { TurnSource } from "./turn-source.ts";
import type { TurnState } from "./turn-state.ts";
import { uiMessageStreamResponse } from "./ui-message-stream-response.ts";

/** A piece of what Claude wrote, and its attempt; see {@link NumberedMessage}. */
export interface TurnDelta extends Delta {
  readonly attempt: number;
}

/** What a turn's session does for it. */
export interface TurnCalls extends RecordReads {
  interrupt(): Promise<void>;
  /** Returns the turn that has the message, if it is another one. */
  steer(text: string, options: SteerOptions): Promise<Turn | undefined>;
  /** Whether its session asks for approvals, as far as known. */
  readonly asks: boolean;
}

/**
 * One prompt and everything that results from it.
 *
 * A turn continues whether or not anybody reads it. Any number of readers can attach at any time; leaving a loop only
 * detaches that reader. To stop the turn, call {@link Turn.interrupt} or abort its signal. Every reader, and {@link
 * Turn.result}, fails with the error that ended the turn, so a stream that finishes without an error is complete.
 *
 * A turn whose process dies may run again, see `onInterruptedTurn`. If it had shown output, readers learn about the
 * repetition: {@link Turn.messages} and {@link Turn.deltas} give the attempt of each piece; {@link Turn.text} and
 * {@link Turn.thinking} fail with `TURN_RETRIED` and can be read again.
 *
 * @example
 * const turn = stream("assistant", "Analyse this data");
 * for await (const text of turn.text()) process.stdout.write(text);
 * const { costUsd } = await turn.result();
 */
export class Turn<Structured = unknown> implements AsyncIterable<SDKMessage> {
  readonly #record: TurnSource;
  readonly #calls: TurnCalls;
  /** The session's name. */
  readonly session: SessionName;

  /** Made by a session. */
  constructor(record: TurnSource, session: SessionName, calls: TurnCalls) {
    this.#record = record;
    this.session = session;
    this.#calls = calls;
  }

  get id(): string {
    return this.#record.id;
  }

  get state(): TurnState {
    return this.#record.state;
  }

  /** Who began the turn: a caller, or Claude Code by itself, after a background task or on a schedule. */
  get origin(): TurnOrigin {
    return this.#record.origin;
  }

  /** Who asked, as given with the option `by`. */
  get by(): string | undefined {
    return this.#record.by;
  }

  /** The caller's own data, as given with the option `metadata`. */
  get metadata(): JsonObject | undefined {
    return this.#record.metadata;
  }

  /**
   * The id of the prompt in the conversation, for `session.rewindFiles`. Each attempt has another one. `undefined` while
   * the turn waits for its first attempt, and for a turn that Claude Code began by itself; of a global session, until
   * the first message or the end has arrived here.
   */
  get promptId(): string | undefined {
    return this.#record.promptId;
  }

  /**
   * Whether the turn had ended before this call, and was read back from the journal. Its result is available, and the
   * text, thinking and tools of its last attempt, block by block, as long as the journal keeps the turn's events. Readers
   * fail with `EVENTS_LOST` where some are missing. Its messages are gone: reading them fails with `EVENTS_LOST`, or with
   * the error that ended the turn.
   */
  get recalled(): boolean {
    return this.#record.recalled;
  }

  /**
   * Whether Claude has begun to answer or to act in any attempt. Messages about a request that the API rejected do not
   * count. A turn that failed untouched has done nothing, so its prompt can safely go to another session. Also `true`
   * if unknown, as for a turn that began before the application restarted.
   */
  get touched(): boolean {
    return this.#record.touched;
  }

  /**
   * Whether the turn has ended only here, because its application or its node stops: it is in the journal, and continues under its
   * id after the next start, or on another node.
   */
  get continues(): boolean {
    return this.#record.continues;
  }

  /**
   * Resolves with the reply of the completed turn.
   *
   * @throws CastellanError `TURN_FAILED`, `TURN_INTERRUPTED`, `TURN_TIMEOUT`, `TURN_CANCELLED`, `QUEUE_TIMEOUT`;
   * `COMMAND_NOT_FOUND` if it is a command that the process does not know; `SESSION_QUARANTINED`, `SESSION_STOPPED`,
   * `SUPERVISOR_STOPPED` if the session stopped; `JOURNAL_UNAVAILABLE` if it could not be accepted; `NOT_OWNER` if
   * another application has taken over the journal
   */
  result(): Promise<Reply<Structured>> {
    // The turn's schema has parsed it, which gives `Structured` its meaning.
    return this.#record.result as Promise<Reply<Structured>>;
  }

  /** The messages of the Agent SDK from number `from` on, with their numbers. Numbers count from 0. */
  async *messages(from = 0): AsyncGenerator<NumberedMessage, void, undefined> {
    let number = from;
    for await (const batch of this.#record.log.batches(from)) {
      for (const message of batch) {
        yield { number, message, attempt: this.#record.positionOf(number).attempt };
        number++;
      }
    }
  }

  /** The messages of the Agent SDK. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SDKMessage, void, undefined> {
    // Not `yield*`, which would wait once more for each message.
    for await (const batch of this.#record.log.batches()) for (const message of batch) yield message;
  }

  /** What Claude writes and thinks, piece by piece. */
  async *deltas(): AsyncGenerator<TurnDelta, void, undefined> {
    for await (const batch of this.#tried()) {
      for (const { piece, attempt } of batch) if (piece.type !== "tool_use") yield { ...piece, attempt };
    }
  }

  #tried(): AsyncGenerator<readonly TriedPiece[], void, undefined> {
    return piecesOf(this.#record, this.#calls, () => {
      const message = `turn ${this.id} of session ${formatName(this.session)}: its messages are no longer kept; see \`result()\`.`;
      return new CastellanError("EVENTS_LOST", message, { details: { oldest: 0 } });
    });
  }

  /**
   * What Claude writes, piece by piece; with `includePartialMessages: false` block by block. Excludes subagents.
   *
   * @throws CastellanError `TURN_RETRIED` if the turn runs again, so that what was read is void
   */
  text(): AsyncGenerator<string, void, undefined> {
    return this.#pieces("text");
  }

  /** What Claude thinks, piece by piece. @throws CastellanError `TURN_RETRIED` as {@link Turn.text} */
  thinking(): AsyncGenerator<string, void, undefined> {
    return this.#pieces("thinking");
  }

  /** The pieces of the last attempt. Throws if it has already yielded pieces of an earlier one. */
  async *#pieces(type: Delta["type"]): AsyncGenerator<string, void, undefined> {
    let given: number | undefined;
    for await (const delta of this.deltas()) {
      if (given !== undefined && given < this.#record.attempts) break;
      if (delta.type !== type || delta.attempt < this.#record.attempts) continue;
      given = delta.attempt;
      yield delta.text;
    }
    const { id, attempts: attempt } = this.#record;
    if (given === undefined || given === attempt) return;
    const message = `turn ${id} of session ${formatName(this.session)} was interrupted and runs again; discard what was read of it.`;
    throw new CastellanError("TURN_RETRIED", message, { details: { turnId: id, attempt } });
  }

  /** The tool calls of every attempt, including those of subagents. */
  async *toolUses(): AsyncGenerator<ToolUse, void, undefined> {
    for await (const batch of this.#tried()) {
      for (const { piece } of batch) {
        if (piece.type !== "tool_use") continue;
        const { type: _, ...use } = piece;
        yield use;
      }
    }
  }

  /**
   * Stops the turn; resolves once it has ended. A waiting turn is cancelled and never runs; a running one ends with
   * `TURN_INTERRUPTED`, unless it finishes first. Does nothing to a turn that has ended.
   */
  interrupt(): Promise<void> {
    return this.#calls.interrupt();
  }

  /**
   * Gives a message to the turn while it waits or runs. Resolves, once the journal has the message, with the turn that
   * has it: this one, or with `afterEnd: "enqueue"` possibly a new one.
   *
   * If the turn runs, Claude gets the message together with the next results of tools. If it calls no more tools, it
   * answers first and then continues the same turn with the message; the reply is what it answers last. If the turn
   * waits, or runs again, its prompt is followed by the message. The text is sent as it is: no command runs, no file is
   * attached. The events `steered` and `steer_settled` tell whether and when Claude got it. An interrupted turn leaves
   * messages unread.
   *
   * @throws CastellanError `STEER_REFUSED` if the turn takes no message, see `details.reason`, or has got a hundred;
   * `INVALID_OPTIONS` if the text is empty, and for `afterEnd: "enqueue"` in a pool; why the new turn was not accepted
   * @example
   * await turn.steer("Leave the tests alone.", { by: "ann@example.com" });
   */
  async steer(text: string, options: SteerOptions = {}): Promise<Turn> {
    return (await this.#calls.steer(text, options)) ?? this;
  }

  /**
   * Yields the turn's events, from its acceptance to its end, as `Session.events` does: `turn_ended` is the last one.
   * Works for a turn of any age, as long as the journal keeps its events. Ends without `turn_ended` if the turn ends
   * only here and continues after the next start, see `result()`.
   *
   * @throws CastellanError as `Session.events`; why the turn was not accepted; `INVALID_OPTIONS` for a turn of a global
   * pool, whose members have the events
   */
  events(): AsyncGenerator<SessionEvent, void, undefined> {
    return turnEvents(this.#record, this.#calls.events);
  }

  /**
   * The turn as a response of server-sent events for a web page; {@link TurnEvents} lists the events. A reconnecting
   * browser sends the id of its last event as `Last-Event-ID`; pass it as `lastEventId`, and the browser gets what came
   * after that event. If the event belongs to another attempt, to the time before a restart of the application, or to
   * messages that are gone, the browser gets `retry` and everything, at any time from the record of the session.
   *
   * @example
   * app.post("/ask", async (c) => stream("assistant", await c.req.text()).toResponse());
   */
  toResponse(options: SseOptions = {}): Response {
    return turnResponse(this.#record, this.#calls, options, this.#approvals);
  }

  /**
   * The turn as a UI message stream of the Vercel AI SDK (`ai` 7), for `useChat` and similar: one assistant message
   * with text, thinking, tools and approvals, in steps, under the turn's id and with {@link TurnMetadata}. Excludes subagents. A
   * turn that a caller stopped ends with `abort`, any other turn that does not complete with `error`. When an
   * interrupted turn runs again, its current step is taken back.
   *
   * The stream always starts at the turn's beginning, so it also serves a page that resumes.
   *
   * @example
   * app.post("/api/chat", async (c) => {
   *   const { prompt } = await c.req.json();
   *   return stream("assistant", prompt).toUIMessageStreamResponse();
   * });
   */
  toUIMessageStreamResponse(options: EventStreamOptions = {}): Response {
    return uiMessageStreamResponse(this.#record, this.#calls, this.session, options, this.#approvals);
  }

  get #approvals(): TurnApprovals | undefined {
    if (!this.#calls.asks) return undefined;
    return () => turnEvents(this.#record, this.#calls.events, { types: APPROVAL_EVENTS });
  }
}
