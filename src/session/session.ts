import { resolve } from "node:path";
import { CastellanError } from "../errors.ts";
import { formatName, type SessionName } from "../names.ts";
import { Controls, type ConversationOptions } from "./controls.ts";
import type { Approval } from "./conversation/approval.ts";
import type { FarSession } from "./far-session.ts";
import { followedEvents } from "./followed-events.ts";
import { command } from "./options/command.ts";
import type { SessionDefaults } from "./options/options.ts";
import type { Prompt } from "./options/prompt.ts";
import type { TurnOptions } from "./options/turn-options.ts";
import type { ContentReference, EventContent } from "./record/content.ts";
import { checkEventOptions } from "./record/event-options.ts";
import type { EventOptions } from "./record/event-readers.ts";
import type { SessionEvent } from "./record/session-event-types.ts";
import type { SessionServer } from "./session-server.ts";
import type { SessionStatus } from "./status/session-status.ts";
import { steerTurn, submitOrSteer } from "./steer-turn.ts";
import type { Reply } from "./streams/reply.ts";
import { Turn } from "./streams/turn.ts";
import type { TurnRecord } from "./streams/turn-record.ts";
import { type EnqueueOptions, isScheduled, type Schedule } from "./turns/schedule.ts";

/** What a session's supervisor does for it. */
export interface SessionOwner {
  restart(options: ConversationOptions): Promise<void>;
  terminate(options: ConversationOptions): Promise<void>;
  fork(name: SessionName, options: Partial<SessionDefaults>): Promise<Session>;
  /** Resolves once the session has ended for good. */
  closed(): Promise<void>;
  /**
   * Returns the session of the same name, brought back if this one was evicted.
   *
   * @throws CastellanError `TEMPLATE_FULL`
   */
  find(): FoundSession | undefined;
  /** The session in the next process of the application, once that has taken it over. */
  far?(): FarSession | undefined;
}

export interface FoundSession {
  readonly server: SessionServer;
  readonly owner: SessionOwner;
}

/** Finds the session of a handle. */
export interface SessionSource extends FoundSession {
  /** Resolves once the session has ended for good. */
  readonly closed: Promise<void>;
  /** The session in the next process of the application, if that has it. */
  readonly far?: FarSession | undefined;
  /** Whether it is a member of a pool that the handle's owner has borrowed. */
  readonly isLent?: boolean;
}

let sourceOf: (session: Session) => SessionSource | undefined;

/** Returns the session behind a handle, or undefined for a handle of another copy of this package. */
export function serverOf(session: Session): SessionServer | undefined {
  return sourceOf(session)?.server;
}

/**
 * A named, supervised conversation. A handle works wherever a name does, and stays valid as long as the session exists,
 * whatever happens to its process. A handle of a template's session also survives the session's eviction.
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
   * Resolves once the session has ended for good, alone or with its supervisor, and its name is free. Hibernation,
   * restarts, quarantine, a stop as a child and eviction by a template are not an end. Never rejects.
   */
  get closed(): Promise<void> {
    return this.#source.closed;
  }

  /**
   * The absolute path of Claude's working directory. A directory of the session's own, from `isolate`, is created
   * before its first process starts.
   */
  get cwd(): string {
    return resolve(this.#source.server.settings.sdk.cwd ?? ".");
  }

  /** Claude's id of the conversation. */
  get sessionId(): string {
    return this.#source.server.status().conversationId;
  }

  /**
   * Sends a prompt and waits for the answer.
   *
   * @throws CastellanError what {@link Session.stream} throws, and how the turn can end: see {@link Turn.result}.
   * @example
   * const { text } = await session.query("Review this function", { timeout: "2m" });
   */
  async query<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Promise<Reply<Structured>> {
    return await this.stream(prompt, options).result();
  }

  /**
   * Sends a prompt and returns the turn at once, to be read while it runs.
   *
   * @throws CastellanError `INVALID_OPTIONS` (also for a prompt that is empty or not text, or a refused command),
   * `MAILBOX_FULL`, `SESSION_BUSY`, `BUDGET_EXCEEDED`, `TURN_CANCELLED` if the signal is already aborted,
   * `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   */
  stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    const { far } = this.#source;
    if (far !== undefined) return far.stream(prompt, withoutSteering(options));
    return this.#turn<Structured>(submitOrSteer(this.#source.server, prompt, options).record);
  }

  /**
   * Replaces the conversation so far by a summary, as a turn of its own: it waits for earlier turns, costs what the
   * summary costs, and accepts an `idempotencyKey`. Its reply confirms the compaction.
   *
   * @param instructions what the summary should keep
   * @throws CastellanError what {@link Session.query} throws; `TURN_FAILED` if there was nothing to summarise, or
   * summarising failed
   */
  async compact(instructions = "", options: TurnOptions = {}): Promise<Reply> {
    return await this.query(command("compact", instructions), options);
  }

  /** Returns a snapshot of the session from what is already known. */
  status(): SessionStatus {
    return this.#source.server.status();
  }

  /**
   * Sends a prompt and returns the turn's id once the turn is in the journal, where it survives the application. If the
   * application ends or the session is quarantined before the turn begins, it runs after the next start; if it was
   * running, `onInterruptedTurn` settles it. {@link Session.turn} finds it again. With an `idempotencyKey` the call can
   * safely be repeated.
   *
   * With `runAt` or `every` the prompt runs later, or again and again. Resolves with the schedule's id once the schedule is in the
   * journal; without `every` that is also the id of the later turn. See {@link Session.schedules}. If several runs were missed, for
   * example because the application was down, one takes place as soon as possible. A run is skipped while the previous one has not
   * ended. The same `idempotencyKey` with `every` replaces the schedule.
   *
   * @throws CastellanError what {@link Session.stream} throws; `JOURNAL_UNAVAILABLE`; `MAILBOX_FULL` also if the session has 1,000
   * schedules
   * @example
   * const id = await session("invoices").enqueue(prompt, { idempotencyKey: order.id });
   * const { text } = await (await session("invoices").turn(id))!.result();
   */
  async enqueue(prompt: Prompt, options: EnqueueOptions = {}): Promise<string> {
    const { far } = this.#source;
    if (far !== undefined) return await far.enqueue(prompt, withoutSteering(options));
    if (isScheduled(options)) return await this.#source.server.schedules.add(prompt, options);
    const { record, accepted } = submitOrSteer(this.#source.server, prompt, options, { durable: true });
    await accepted;
    return record.id;
  }

  /** Returns the prompts that run later, the next first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async schedules(): Promise<Schedule[]> {
    return await (this.#source.far?.schedules() ?? this.#source.server.schedules.list());
  }

  /**
   * Cancels a schedule. Its turns that wait or run are unaffected. Resolves with whether there was one.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async cancelSchedule(id: string): Promise<boolean> {
    return await (this.#source.far?.cancelSchedule(id) ?? this.#source.server.schedules.cancel(id));
  }

  /**
   * Returns a turn that waits, runs or has ended, as long as the journal keeps it. The messages of ended turns are kept
   * in memory for two minutes, for at most the last sixteen turns, and for fewer if they are long: 5,000 messages or
   * 16 million characters in total, but always the last turn. Of other ended turns the journal keeps the reply or
   * the error, and their output; see {@link Turn.recalled}.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async turn(id: string): Promise<Turn | undefined> {
    const { far } = this.#source;
    if (far !== undefined) return await far.turn(id);
    const record = await this.#source.server.turn(id);
    return record === undefined ? undefined : this.#turn(record);
  }

  /** The running turn, if any. Claude Code also begins turns by itself, see {@link Turn.origin}. */
  get current(): Turn | undefined {
    const record = this.#source.server.turns.current;
    return record === undefined ? undefined : this.#turn(record);
  }

  /**
   * Yields what the session sees and does: by default from now on, until the session ends.
   *
   * The journal keeps recorded events, numbered from 1 without gaps for the life of the name. They are yielded once they
   * are written, each once and in order, however slow the reader is. To continue later, in another process too, pass the
   * number of the last event as `after`. Live events come in between and have no number: deltas, states, and what else
   * matters only at its moment. A slow reader misses some of them.
   *
   * @throws CastellanError `INVALID_OPTIONS`; while reading `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   * @example
   * for await (const event of session("assistant").events({ after: 0, types: ["text", "turn_ended"] })) {
   *   if (event.type === "text") console.log(event.number, event.text);
   * }
   */
  events<Type extends SessionEvent["type"] = SessionEvent["type"]>(
    options: EventOptions<Type> = {},
  ): AsyncGenerator<SessionEvent & { readonly type: Type }, void, undefined> {
    const checked = checkEventOptions(options, `events of session ${formatName(this.name)}`);
    // The reader yields only these types.
    return followedEvents(this.#source, checked) as AsyncGenerator<
      SessionEvent & { readonly type: Type },
      void,
      undefined
    >;
  }

  /**
   * Returns a content that an event of this session names: a text over 64 kB, or binary data such as an image. `undefined`
   * if it is no longer kept, or only other sessions refer to it.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   */
  async content({ $content }: ContentReference): Promise<EventContent | undefined> {
    const { far, server } = this.#source;
    return await (far === undefined
      ? server.reading.content($content)
      : far.content({ $content, size: 0, mediaType: "" }));
  }

  /** The pending permission requests, oldest first, if the session has `approvals`. */
  approvals(): readonly Approval[] {
    return this.#source.server.approvals;
  }

  /**
   * Starts a session with a copy of this conversation; the two then continue independently. It has this session's
   * options, overridden by `options`.
   *
   * @throws CastellanError what `Supervisor.startSession` throws; `INVALID_OPTIONS` if an option holds something only
   * one session can use, such as an in-process MCP server, and no replacement is given
   */
  async fork(name: SessionName, options: Partial<SessionDefaults> = {}): Promise<Session> {
    return await this.#source.owner.fork(name, options);
  }

  /** Ends the session when its scope ends. Does nothing to a session that has already ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } catch (error) {
      if (!CastellanError.is(error, "SESSION_STOPPED") && !CastellanError.is(error, "SUPERVISOR_STOPPED")) throw error;
    }
  }

  #turn<Structured>(record: TurnRecord): Turn<Structured> {
    // Bind the instance that has the turn now: the handle may find another one later.
    const { server, isLent = false } = this.#source;
    return turnOf<Structured>(server, this.name, record, isLent);
  }
}

/** Returns a turn's handle. It does not refer to the session's handle: a dropped loan may end before its turns. */
function turnOf<Structured>(
  server: SessionServer,
  name: SessionName,
  record: TurnRecord,
  isLent: boolean,
): Turn<Structured> {
  return new Turn<Structured>(record, name, {
    interrupt: () => record.far?.calls.interrupt() ?? server.interrupt(record),
    steer: async (text, options) => {
      if (record.far !== undefined) return await record.far.calls.steer(text, options);
      const holder = await steerTurn(server, record, text, options, { isLent });
      return holder === record ? undefined : turnOf(server, name, holder, isLent);
    },
    events: (options) => record.far?.calls.events(options) ?? server.reading.events(options),
    content: (reference) => record.far?.calls.content(reference) ?? server.reading.content(reference.$content),
    asks: server.settings.approvals !== false,
  });
}

/** A turn in another process cannot be steered by a prompt, because no handle here knows whether it still runs. */
function withoutSteering<Options extends TurnOptions>(options: Options): Options {
  return options?.whenBusy === "steer" ? { ...options, whenBusy: "enqueue" } : options;
}

/** Whether a reference to a session is a handle, of any copy of this package, rather than a name. */
export function isSession(reference: SessionName | Session): reference is Session {
  return typeof reference === "object" && reference !== null && "query" in reference;
}
