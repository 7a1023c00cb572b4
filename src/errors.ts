import { printable } from "./printable.ts";

/**
 * How a Claude Code process ended, as callers see it: in errors, in `status()` and in `inspect()`.
 */
export interface ExitRecord {
  /** What it means; see the exit table in the documentation. */
  readonly class: ExitClass;
  /** One sentence for people. */
  readonly message: string;
  /** Wall-clock time, in milliseconds since the epoch. */
  readonly at: number;
  readonly pid?: number;
  /** Exit code of the process, if it exited by itself. */
  readonly code?: number;
  /** Signal that ended the process, if one did. */
  readonly signal?: string;
  /** The last 2 kB that the process wrote to its error output, without keys, colours and what else a terminal obeys. */
  readonly stderr?: string;
}

/** The classes of exit. A class decides what supervision does; see the exit table in the documentation. */
export type ExitClass =
  | "done"
  | "crash"
  | "stalled"
  | "out_of_memory"
  | "bad_config"
  | "auth"
  | "quota"
  | "overload"
  | "conversation_missing"
  | "conversation_exists";

/** One thing that is wrong with an option. */
export interface OptionProblem {
  /** Where: `idleTimeout`, `children[2].cwd`, … */
  readonly field: string;
  /** What is wrong, what was given and what is allowed. */
  readonly message: string;
}

/** What is known of a turn that did not complete. */
export interface PartialTurn {
  readonly turnId: string;
  /** The text of Claude's that had arrived; never the words of an error. */
  readonly partialText: string;
  /** The tools that had been called, in order. */
  readonly toolUses: readonly { readonly id: string; readonly name: string }[];
  /** What it cost all the same, in US dollars, if that is known. */
  readonly costUsd?: number;
  /** What has become of it in the conversation, if that is known. */
  readonly conversation?: ConversationFate;
}

/**
 * What becomes of a turn in the conversation. `kept`: it stands there as far as it has come, and the model is told of it from then
 * on. `undone`: it has been taken out, and the model is told nothing of it. `cut_back`: the API refuses what it, or a turn before it,
 * has brought into the conversation, which goes on from the last turn that worked.
 */
export type ConversationFate = "kept" | "undone" | "cut_back";

/** What each error carries in `details`, by code. Codes that are not listed carry nothing. */
export interface ErrorDetails {
  SESSION_NOT_FOUND: { readonly nearMisses: readonly string[] };
  SESSION_ALREADY_STARTED: { readonly supervisor: string };
  SESSION_QUARANTINED: { readonly lastExits: readonly ExitRecord[] };
  INVALID_OPTIONS: { readonly problems: readonly OptionProblem[] };
  CLAUDE_NOT_FOUND: { readonly exit: ExitRecord };
  START_FAILED: { readonly exit: ExitRecord };
  TURN_TIMEOUT: PartialTurn & { readonly timeoutMs: number };
  TURN_INTERRUPTED: PartialTurn & { readonly exit?: ExitRecord };
  TURN_CANCELLED: { readonly turnId: string };
  /**
   * A turn that was accepted, and that the database does not know any more: it has failed over to a replica that lacked it, or was put
   * back to a backup. Nobody knows how far it came.
   */
  TURN_LOST: PartialTurn;
  /** A turn that is a command, or a skill, that the process does not know. Nothing of it was run. */
  COMMAND_NOT_FOUND: { readonly command: string; readonly nearMisses: readonly string[] };
  TURN_FAILED: PartialTurn & {
    /**
     * `auth`, `billing`, `quota` and `overload` are the API's: the key or the account is refused, there is nothing left to pay
     * with, a limit of use is reached, it has too much to do; `turn` is the turn's own limit, such as `maxTurns`.
     */
    readonly class: "auth" | "billing" | "quota" | "overload" | "request" | "turn" | "unknown";
    /** HTTP status of the API, if there was one. */
    readonly status?: number;
    /** When it may work again, in milliseconds since the epoch, if that is known. */
    readonly retryAt?: number;
  };
  MAILBOX_FULL: { readonly limit: number };
  QUEUE_TIMEOUT: { readonly turnId: string; readonly timeoutMs: number };
  CAPACITY_EXHAUSTED: {
    /** How many processes there may be, if that was the limit. Without either of these, memory was short. */
    readonly maxProcesses?: number;
    /** How many turns may run at a time, if that was the limit. */
    readonly maxConcurrentTurns?: number;
    /** How many were at work, or ran. */
    readonly busy: number;
    /** The turn that waited, and for how long, if it was one. */
    readonly turnId?: string;
    readonly timeoutMs?: number;
  };
  /** Text that was handed out is void, because the turn is run again; `attempt` is which try it is now, from 1. */
  TURN_RETRIED: { readonly turnId: string; readonly attempt: number };
  /** How many members the pool has, how many are lent, and how many wait; `timeoutMs` is how long it was waited, if it was. */
  POOL_EXHAUSTED: {
    readonly pool: string;
    readonly size: number;
    readonly lent: number;
    readonly waiting: number;
    readonly timeoutMs: number;
  };
  /** A loan that is over, and why: it was checked in, or its lease is over. */
  LOAN_ENDED: { readonly pool: string; readonly reason: "checked_in" | "lease_over" };
  POOL_NOT_FOUND: { readonly nearMisses: readonly string[] };
  CHECKOUT_CANCELLED: { readonly pool: string };
  TEMPLATE_FULL: { readonly template: string; readonly maxSessions: number };
  EVENTS_LOST: { readonly oldest: number };
  BUDGET_EXCEEDED: {
    /** Whose budget it is. */
    readonly scope: "session" | "supervisor";
    readonly limitUsd: number;
    readonly spentUsd: number;
  };
  JOURNAL_UNAVAILABLE: {
    readonly reason: JournalFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
  };
  /** A PostgreSQL database that holds a cluster's nodes and owners, or the transcripts of `postgresSessionStore`. */
  DATABASE_UNAVAILABLE: {
    readonly reason: DatabaseFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
  };
  /** The registry's name, if it has one, and the key that is taken. */
  KEY_ALREADY_REGISTERED: { readonly registry: string | undefined; readonly key: RegisteredKey };
  REGISTRATION_TIMEOUT: {
    readonly registry: string | undefined;
    readonly key: RegisteredKey;
    readonly timeoutMs: number;
  };
  CLUSTER_UNAVAILABLE: { readonly reason: ClusterFault };
  /** What of a session is still there, in words or as paths. */
  ERASURE_INCOMPLETE: { readonly remaining: readonly string[] };
  /** Who holds the journal. `startedAt` is in milliseconds since the epoch. */
  JOURNAL_IN_USE: { readonly pid: number; readonly host: string; readonly startedAt: number };
}

/**
 * Why nothing could be asked of a cluster: there is no node for it, the one that has it does not answer, or is of a release that
 * this one cannot talk to; or it was asked and went away, so that nobody knows whether it was done.
 */
export type ClusterFault = "no_node" | "unreachable" | "protocol" | "uncertain";

/** A key of a registry. */
type RegisteredKey = string | number | readonly (string | number)[];

/**
 * What keeps a journal from being read or written: it cannot be reached (a server, a path), there is no room, it may only be
 * read, it is damaged, it is of another version or another program's, it does not take what was to be written, another program has
 * it locked, or the system failed in another way.
 */
export type JournalFault =
  | "unreachable"
  | "no_space"
  | "busy"
  | "read_only"
  | "damaged"
  | "foreign"
  | "refused"
  | "failed";

/** Why a PostgreSQL database cannot be read or written; as {@link JournalFault}. */
export type DatabaseFault = Exclude<JournalFault, "busy">;

/** Every code that an error of Castellan can have. Codes may join; none changes its meaning. */
export type ErrorCode =
  | keyof ErrorDetails
  | "SESSION_STOPPED"
  | "SUPERVISOR_STOPPED"
  | "SESSION_BUSY"
  | "CHILD_NOT_FOUND"
  | "CHILD_ALREADY_STARTED"
  | "CHILD_ALREADY_PRESENT"
  | "CHILD_RUNNING"
  | "CHILD_RESTARTING"
  | "CHILD_START_FAILED"
  | "CHILD_NOT_GONE"
  | "MAX_CHILDREN"
  | "CONTROL_FAILED"
  | "CONTROL_TIMEOUT"
  | "NOT_OWNER";

type DetailsOf<Code extends ErrorCode> = Code extends keyof ErrorDetails ? ErrorDetails[Code] : Record<never, never>;

type ErrorInit<Code extends ErrorCode> = (Code extends keyof ErrorDetails
  ? { details: ErrorDetails[Code] }
  : { details?: never }) & { cause?: unknown };

type ErrorArguments<Code extends ErrorCode> = Code extends keyof ErrorDetails ? [ErrorInit<Code>] : [ErrorInit<Code>?];

/** Marks errors of every copy of this package alike. */
const BRAND = Symbol.for("castellan.error");

/**
 * Every error that Castellan throws. `code` is stable and says what happened; `message` says it to people, with the name
 * of whom it happened to and what to do; `details` carries the facts by code, and `cause` the error behind it.
 *
 * `instanceof CastellanError` also holds for errors of a second copy of this package in the same process.
 *
 * @example
 * try {
 *   await query("reviewer", source);
 * } catch (error) {
 *   if (CastellanError.is(error, "TURN_INTERRUPTED")) keep(error.details.partialText);
 *   else throw error;
 * }
 */
export class CastellanError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name: string = "CastellanError";
  readonly code: Code;
  readonly details: Readonly<DetailsOf<Code>>;

  constructor(code: Code, message: string, ...[init]: ErrorArguments<Code>) {
    super(printable(message), init?.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.details = (init?.details ?? {}) as DetailsOf<Code>;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Also an error of Castellan that was loaded a second time. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** Whether `value` is an error of Castellan, and of this code if one is given. */
  static is<Code extends ErrorCode = ErrorCode>(value: unknown, code?: Code): value is CastellanError<Code> {
    return value instanceof CastellanError && (code === undefined || value.code === code);
  }
}

/** Whether the journal, or a database of Castellan, could not be read or written. */
export function isStorageFault(
  value: unknown,
): value is CastellanError<"JOURNAL_UNAVAILABLE" | "DATABASE_UNAVAILABLE"> {
  return CastellanError.is(value, "JOURNAL_UNAVAILABLE") || CastellanError.is(value, "DATABASE_UNAVAILABLE");
}

/** The same error in other words, with what is behind it. */
export function reworded(error: CastellanError, message: string, cause: unknown): CastellanError {
  const init = [{ details: error.details, cause }] as ErrorArguments<ErrorCode>;
  return new CastellanError<ErrorCode>(error.code, message, ...init);
}
