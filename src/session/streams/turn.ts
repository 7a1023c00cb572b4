import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Delta, ToolUse } from "../../claude/messages/shown.ts";
import { CastellanError } from "../../errors.ts";
import { formatName, type SessionName } from "../../names.ts";
import type { EventStreamOptions } from "./event-stream-response.ts";
import type { Reply } from "./reply.ts";
import { type SseOptions, turnResponse } from "./sse.ts";
import type { NumberedMessage } from "./turn-reader.ts";
import { piecesOf, type TriedPiece } from "./turn-reader.ts";
import type { TurnSource } from "./turn-source.ts";
import type { TurnState } from "./turn-state.ts";
import { uiMessageStreamResponse } from "./ui-message-stream-response.ts";

/** A piece of what Claude wrote, and of which try it is; see {@link NumberedMessage}. */
export interface TurnDelta extends Delta {
  readonly attempt: number;
}

let source: (turn: Turn) => TurnSource;

/** What a turn shows, from the inside. */
export function sourceOf(turn: Turn): TurnSource {
  return source(turn);
}

/**
 * One prompt and all that comes of it.
 *
 * A turn goes on whether or not anybody reads it. Any number of readers can be attached, at any time; leaving a loop
 * detaches that reader and nothing else. To stop the turn, call {@link Turn.interrupt} or abort the signal it was asked
 * with. Every reader, and {@link Turn.result}, fails with the error that ended the turn, so a stream that finishes
 * without an error is complete.
 *
 * A turn whose process dies may be run again, see `onInterruptedTurn`. If it had shown something, readers are not given it
 * twice in silence: {@link Turn.messages} and {@link Turn.deltas} say of which try each piece is, {@link Turn.text} and
 * {@link Turn.thinking} fail with `TURN_RETRIED` and can be read anew.
 *
 * @example
 * const turn = stream("assistant", "Analyse this data");
 * for await (const text of turn.text()) process.stdout.write(text);
 * const { costUsd } = await turn.result();
 */
export class Turn<Structured = unknown> implements AsyncIterable<SDKMessage> {
  readonly #record: TurnSource;
  readonly #interrupt: () => Promise<void>;
  /** The session's name. */
  readonly session: SessionName;

  static {
    source = (turn) => turn.#record;
  }

  /** Made by a session. */
  constructor(record: TurnSource, session: SessionName, interrupt: () => Promise<void>) {
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
   * Whether the turn had ended before it was asked for, and was read back from the journal. Then there is its result, and the text,
   * the thinking and the tools of its last try, in as few pieces as possible. If that is more than 64 kB besides the answer, the
   * journal keeps the beginning, and readers fail with `EVENTS_LOST` where it ends. Its messages are gone: reading them fails with
   * `EVENTS_LOST`, or with the error that ended the turn.
   */
  get recalled(): boolean {
    return this.#record.recalled;
  }

  /**
   * Whether Claude has begun to answer or to act, in any of its tries. What Claude Code says of a request that the API refused
   * does not count. A turn that has failed untouched has done nothing, so that the same can be asked of another session. `true`
   * also where that is not known, as of a turn that began before the application was restarted.
   */
  get touched(): boolean {
    return this.#record.touched;
  }

  /**
   * The finished turn.
   *
   * @throws CastellanError `TURN_FAILED`, `TURN_INTERRUPTED`, `TURN_TIMEOUT`, `TURN_CANCELLED`, `QUEUE_TIMEOUT`,
   * `COMMAND_NOT_FOUND` if it is a command that the process does not know, or what happened to the session:
   * `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`; `JOURNAL_UNAVAILABLE` if it could not be accepted, `NOT_OWNER`
   * if another application has the journal by now.
   */
  result(): Promise<Reply<Structured>> {
    // The schema that the turn was asked with has read it, and gave `Structured` its meaning.
    return this.#record.result as Promise<Reply<Structured>>;
  }

  /** The messages of the Agent SDK, from number `from` on, each with its number. Numbers count from 0. */
  async *messages(from = 0): AsyncGenerator<NumberedMessage, void, undefined> {
    let number = from;
    for await (const batch of this.#record.log.batches(from)) {
      for (const message of batch) {
        yield { number, message, attempt: this.#record.placeOf(number).attempt };
        number++;
      }
    }
  }

  /** The messages of the Agent SDK. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SDKMessage, void, undefined> {
    // Not `yield*`, which waits for each message once more.
    for await (const batch of this.#record.log.batches()) for (const message of batch) yield message;
  }

  /** What Claude writes and thinks, piece by piece. */
  async *deltas(): AsyncGenerator<TurnDelta, void, undefined> {
    for await (const batch of this.#tried()) {
      for (const { piece, attempt } of batch) if (piece.type !== "tool_use") yield { ...piece, attempt };
    }
  }

  #tried(): AsyncGenerator<readonly TriedPiece[], void, undefined> {
    return piecesOf(this.#record, () => {
      const message = `turn ${this.id} of session ${formatName(this.session)}: its messages are no longer kept; see \`result()\`.`;
      return new CastellanError("EVENTS_LOST", message, { details: { oldest: 0 } });
    });
  }

  /**
   * What Claude writes, piece by piece; with `includePartialMessages: false` block by block. Subagents are left out.
   *
   * @throws CastellanError `TURN_RETRIED` if what was given is void, because the turn is run again
   */
  text(): AsyncGenerator<string, void, undefined> {
    return this.#pieces("text");
  }

  /** What Claude thinks, piece by piece. @throws CastellanError `TURN_RETRIED` as {@link Turn.text} */
  thinking(): AsyncGenerator<string, void, undefined> {
    return this.#pieces("thinking");
  }

  /** The pieces of the last try. Pieces cannot be taken back, so a reader who has some of an earlier one is told. */
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

  /** The tools that are called, in every try; those of subagents are among them. */
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
   * Stops the turn and resolves when it has ended. One that still waits is cancelled and never runs; one that runs ends
   * with `TURN_INTERRUPTED`, unless it finishes first. Does nothing to a turn that has ended.
   */
  interrupt(): Promise<void> {
    return this.#interrupt();
  }

  /**
   * The turn as server-sent events, for a web page; see {@link TurnEvents} for what they carry. A browser that reconnects sends the
   * id of the last one as `Last-Event-ID`; give it as `lastEventId`, and it gets what came after that. If what it has is of another
   * try, of before a restart of the application, or of a turn whose messages are gone by now, it gets `retry` and everything.
   *
   * @example
   * app.post("/ask", async (c) => stream("assistant", await c.req.text()).toResponse());
   */
  toResponse(options: SseOptions = {}): Response {
    return turnResponse(this.#record, options);
  }

  /**
   * The turn as a UI message stream of the Vercel AI SDK (`ai` 7), for `useChat` and its like: one assistant message
   * with text, thinking and tools, in steps, under the turn's id and with {@link TurnMetadata}. What subagents do is left
   * out. A turn that somebody stopped ends with `abort`, any other that does not complete with `error`. When a turn that
   * was cut is run again, the step that it was in is taken back.
   *
   * It always begins at the beginning, so that it also serves a page that resumes.
   *
   * @example
   * app.post("/api/chat", async (c) => {
   *   const { prompt } = await c.req.json();
   *   return stream("assistant", prompt).toUIMessageStreamResponse();
   * });
   */
  toUIMessageStreamResponse(options: EventStreamOptions = {}): Response {
    return uiMessageStreamResponse(this.#record, this.session, options);
  }
}
