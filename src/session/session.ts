import { resolve } from "node:path";
import { CastellanError } from "../errors.ts";
import type { SessionName } from "../names.ts";
import { Controls, type ConversationOptions } from "./controls.ts";
import type { Approval } from "./conversation/approval.ts";
import { command } from "./options/command.ts";
import type { SessionDefaults } from "./options/options.ts";
import type { Prompt } from "./options/prompt.ts";
import type { TurnOptions } from "./options/turn-options.ts";
import type { SessionServer } from "./session-server.ts";
import type { SessionEvent } from "./status/session-event.ts";
import type { SessionStatus } from "./status/session-status.ts";
import type { Reply } from "./streams/reply.ts";
import { Turn } from "./streams/turn.ts";
import type { TurnRecord } from "./streams/turn-record.ts";

/** What a session's supervisor does for it. */
export interface SessionOwner {
  restart(options: ConversationOptions): Promise<void>;
  terminate(options: ConversationOptions): Promise<void>;
  fork(name: SessionName, options: Partial<SessionDefaults>): Promise<Session>;
  /** Resolves when the session has ended for good. */
  closed(): Promise<void>;
  /** The session of the same name, if this one was let go; brings it back. @throws CastellanError `TEMPLATE_FULL` */
  again(): FoundSession | undefined;
}

export interface FoundSession {
  readonly server: SessionServer;
  readonly owner: SessionOwner;
}

/** Where a handle finds its session. */
export interface SessionSource extends FoundSession {
  /** Resolves when the session has ended for good. */
  readonly closed: Promise<void>;
}

let sourceOf: (session: Session) => SessionSource | undefined;

/** The session that a handle is for, unless that is of another copy of this package. */
export function serverOf(session: Session): SessionServer | undefined {
  return sourceOf(session)?.server;
}

/**
 * A named, supervised conversation. A handle is accepted wherever a name is, and stays good for as long as the session
 * exists, whatever happens to its process; one of a template's session also when that has been let go meanwhile.
 */
export class Session extends Controls implements AsyncDisposable {
  readonly name: SessionName;
  readonly #source: SessionSource;

  static {
    sourceOf = (session) => (#source in session ? session.#source : undefined);
  }

  /** Made by a supervisor. */
  constructor(source: SessionSource) {
    super(source);
    this.name = source.server.settings.name;
    this.#source = source;
  }

  /**
   * Resolves when the session has ended for good, alone or with its supervisor, and its name is free. One that hibernates, is
   * restarted, quarantined, stopped as a child, or let go by its template, has not. Never rejects.
   */
  get closed(): Promise<void> {
    return this.#source.closed;
  }

  /**
   * The directory in which Claude works, as an absolute path. One that the session has for itself, by `isolate`, is made before its
   * first process starts.
   */
  get cwd(): string {
    return resolve(this.#source.server.settings.sdk.cwd ?? ".");
  }

  /** Claude's id of the conversation. */
  get sessionId(): string {
    return this.#source.server.status().conversationId;
  }

  /**
   * Asks, and waits for the answer.
   *
   * @throws CastellanError what {@link Session.stream} throws, and how the turn can end: see {@link Turn.result}.
   * @example
   * const { text } = await session.query("Review this function", { timeout: "2m" });
   */
  async query<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Promise<Reply<Structured>> {
    return await this.stream(prompt, options).result();
  }

  /**
   * Asks, and returns the turn at once, to be read while it runs.
   *
   * @throws CastellanError `INVALID_OPTIONS` (also for a prompt that is empty or no text, or a command that is refused), `MAILBOX_FULL`,
   * `SESSION_BUSY`, `BUDGET_EXCEEDED`, `TURN_CANCELLED` if the signal is already aborted, `SESSION_QUARANTINED`, `SESSION_STOPPED`,
   * `SUPERVISOR_STOPPED`
   */
  stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    return this.#turn<Structured>(this.#source.server.submit(prompt, options));
  }

  /**
   * Has Claude Code replace the conversation so far by a summary of it, as a turn of its own: it waits for those before it, costs
   * what the summary costs, and can be asked again with an `idempotencyKey`. Its reply says that it was done.
   *
   * @param instructions what the summary is to keep
   * @throws CastellanError what {@link Session.query} throws; `TURN_FAILED` if there was nothing to summarise, or it went wrong
   */
  async compact(instructions = "", options: TurnOptions = {}): Promise<Reply> {
    return await this.query(command("compact", instructions), options);
  }

  /** What is known of the session at this moment, without asking anybody. */
  status(): SessionStatus {
    return this.#source.server.status();
  }

  /**
   * Asks, and returns the id of the turn as soon as it is in the journal, where it outlives the application: one that has not
   * begun when the application ends, or the session is quarantined, runs after the next start; one that was running is settled
   * by `onInterruptedTurn`. {@link Session.turn} finds it again. With an `idempotencyKey` it is safe to call this again.
   *
   * @throws CastellanError what {@link Session.stream} throws; `JOURNAL_UNAVAILABLE`
   * @example
   * const id = await session("invoices").enqueue(prompt, { idempotencyKey: order.id });
   * const { text } = await (await session("invoices").turn(id))!.result();
   */
  async enqueue(prompt: Prompt, options: TurnOptions = {}): Promise<string> {
    const record = this.#source.server.submit(prompt, options, { durable: true });
    await record.accepted;
    return record.id;
  }

  /**
   * A turn that waits, runs or has ended, as long as the journal keeps it. The messages of those that have ended are kept of
   * the last sixteen only, for two minutes, and of fewer if they are long: 5,000 messages in all, or the last one. Of the
   * others there is what the journal keeps: the reply, or the error, and what they had shown; see {@link Turn.recalled}.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async turn(id: string): Promise<Turn | undefined> {
    const record = await this.#source.server.turn(id);
    return record === undefined ? undefined : this.#turn(record);
  }

  /**
   * What happens to the session besides its turns, from now on. A reader that is 1,024 events behind fails with
   * `EVENTS_LOST`. Ends when the session does.
   */
  events(): AsyncGenerator<SessionEvent, void, undefined> {
    // What happens between this call and the first reading counts too.
    return this.#eventsFrom(this.#source.server.eventCount);
  }

  async *#eventsFrom(number: number): AsyncGenerator<SessionEvent, void, undefined> {
    for await (const { event } of this.#source.server.readEvents(number)) yield event;
  }

  /** The permissions that Claude waits for, oldest first, if the session has `approvals`. */
  approvals(): readonly Approval[] {
    return this.#source.server.approvals;
  }

  /**
   * Starts a session that begins with what this one remembers; from then on they go separate ways. It has this one's
   * options, but for those given.
   *
   * @throws CastellanError what `Supervisor.startSession` throws; `INVALID_OPTIONS` if there is something that only one
   * session can use, such as an in-process MCP server, and no other is given
   */
  async fork(name: SessionName, options: Partial<SessionDefaults> = {}): Promise<Session> {
    return await this.#source.owner.fork(name, options);
  }

  /** Ends the session with the scope that holds it; one that has ended already is left as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } catch (error) {
      if (!CastellanError.is(error, "SESSION_STOPPED") && !CastellanError.is(error, "SUPERVISOR_STOPPED")) throw error;
    }
  }

  #turn<Structured>(record: TurnRecord): Turn<Structured> {
    // The turn is its session's, whichever one the handle finds by then.
    const { server } = this.#source;
    return new Turn<Structured>(record, this.name, () => server.interrupt(record));
  }
}

/** Whether a reference to a session is a handle, be it of another copy of this package, and not a name. */
export function isSession(reference: SessionName | Session): reference is Session {
  return typeof reference === "object" && reference !== null && "query" in reference;
}
