import { printable } from "./printable.ts";

/** How a Claude Code process ended, as errors, `status()` and `inspect()` show it. */
export interface ExitRecord {
  /** The class of the exit; see the exit table in the documentation. */
  readonly class: ExitClass;
  /** One sentence for people. */
  readonly message: string;
  /** Wall-clock time, in milliseconds since the epoch. */
  readonly at: number;
  readonly pid?: number;
  /** Exit code, if the process exited by itself. */
  readonly code?: number;
  /** Signal that ended the process, if any. */
  readonly signal?: string;
  /** The last 2 kB of the process's stderr, without keys and terminal escapes. */
  readonly stderr?: string;
}

/** The classes of exits. The class decides what supervision does; see the exit table in the documentation. */
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

/** A problem with an option. */
export interface OptionProblem {
  /** Path of the option: `idleTimeout`, `children[2].cwd`, … */
  readonly field: string;
  /** What is wrong, the given value, and the allowed values. */
  readonly message: string;
}

/** The known part of a turn that did not complete. */
export interface PartialTurn {
  readonly turnId: string;
  /** Claude's text so far; never the text of an error. */
  readonly partialText: string;
  /** The tool calls so far, in order. */
  readonly toolUses: readonly { readonly id: string; readonly name: string }[];
  /** Cost in US dollars, if known. */
  readonly costUsd?: number;
  /** What became of the turn in the conversation, if known. */
  readonly conversation?: ConversationFate;
}

/**
 * What becomes of a turn in the conversation. `kept`: the turn stays as far as it came, and the model sees it.
 * `undone`: the turn is removed, and the model does not see it. `cut_back`: the API rejects content of this turn or an
 * earlier one, and the conversation continues from the last turn that worked.
 */
export type ConversationFate = "kept" | "undone" | "cut_back";

/** The `details` of each error, by code. Codes that are not listed have none. */
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
  /** The turn, and why it takes no message. */
  STEER_REFUSED: { readonly turnId: string; readonly reason: SteerRefusal };
  /**
   * A database lost an accepted turn: it failed over to a replica without it, or was restored from a backup. The turn
   * may have run in part.
   */
  TURN_LOST: PartialTurn;
  /** The process does not know the command or skill. Nothing ran. */
  COMMAND_NOT_FOUND: { readonly command: string; readonly nearMisses: readonly string[] };
  TURN_FAILED: PartialTurn & {
    /**
     * `auth`, `billing`, `quota` and `overload` come from the API: it rejects the key or account, the credit is used
     * up, a usage limit is reached, or the API is overloaded. `turn` is the turn's own limit, such as `maxTurns`.
     */
    readonly class: "auth" | "billing" | "quota" | "overload" | "request" | "turn" | "unknown";
    /** HTTP status of the API, if any. */
    readonly status?: number;
    /** When a retry may work, in milliseconds since the epoch, if known. */
    readonly retryAt?: number;
  };
  MAILBOX_FULL: { readonly limit: number };
  QUEUE_TIMEOUT: { readonly turnId: string; readonly timeoutMs: number };
  CAPACITY_EXHAUSTED: {
    /** The process limit, if that was reached. Without this and `maxConcurrentTurns`, memory was short. */
    readonly maxProcesses?: number;
    /** The limit of concurrent turns, if that was reached. */
    readonly maxConcurrentTurns?: number;
    /** Number of busy processes or running turns. */
    readonly busy: number;
    /** The turn that waited, and for how long, if it was a turn. */
    readonly turnId?: string;
    readonly timeoutMs?: number;
  };
  /** Output so far is void: the turn runs again. `attempt` is the number of the new attempt, from 1. */
  TURN_RETRIED: { readonly turnId: string; readonly attempt: number };
  /** The pool's size, its lent members and its waiting callers. `timeoutMs` is how long this caller waited. */
  POOL_EXHAUSTED: {
    readonly pool: string;
    readonly size: number;
    readonly lent: number;
    readonly waiting: number;
    readonly timeoutMs: number;
  };
  /** Why the loan has ended: checked in, or its lease expired. */
  LOAN_ENDED: { readonly pool: string; readonly reason: "checked_in" | "lease_over" };
  POOL_NOT_FOUND: { readonly nearMisses: readonly string[] };
  CHECKOUT_CANCELLED: { readonly pool: string };
  TEMPLATE_FULL: { readonly template: string; readonly maxSessions: number };
  EVENTS_LOST: { readonly oldest: number };
  BUDGET_EXCEEDED: {
    /** Owner of the budget. */
    readonly scope: "session" | "supervisor";
    readonly limitUsd: number;
    readonly spentUsd: number;
  };
  JOURNAL_UNAVAILABLE: {
    readonly reason: JournalFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
    /** For the reason `denied`, if known: the SQL statements that grant what the role lacks. */
    readonly grants?: readonly string[];
  };
  /** A PostgreSQL database that holds a cluster's state or the transcripts of `postgresSessionStore`. */
  DATABASE_UNAVAILABLE: {
    readonly reason: DatabaseFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
    /** For the reason `denied`, if known: the SQL statements that grant what the role lacks. */
    readonly grants?: readonly string[];
  };
  /** The name of the registry, if any, and the taken key. */
  KEY_ALREADY_REGISTERED: { readonly registry: string | undefined; readonly key: RegisteredKey };
  REGISTRATION_TIMEOUT: {
    readonly registry: string | undefined;
    readonly key: RegisteredKey;
    readonly timeoutMs: number;
  };
  CLUSTER_UNAVAILABLE: { readonly reason: ClusterFault };
  /** A live node of the cluster has the name, and where it is reached. */
  NODE_NAME_TAKEN: { readonly node: string; readonly address: string };
  /** What remains of the session, as descriptions or paths. */
  ERASURE_INCOMPLETE: { readonly remaining: readonly string[] };
  /** The owner of the journal. `startedAt` is in milliseconds since the epoch. */
  JOURNAL_IN_USE: { readonly pid: number; readonly host: string; readonly startedAt: number };
}

/**
 * Why a cluster could not answer: no live node hosts the name; its node does not answer, or refuses; there is no common
 * protocol; or the node went away during the request, which may have taken effect.
 */
export type ClusterFault = "no_node" | "unreachable" | "protocol" | "uncertain";

/**
 * Why a turn takes no message: it has ended; it is being stopped; Claude Code began it by itself; Claude Code is too old
 * to report what it reads; or the turn has got too many.
 */
export type SteerRefusal = "ended" | "stopping" | "unprompted" | "unsupported" | "too_many";

/** A key of a registry. */
type RegisteredKey = string | number | readonly (string | number)[];

/**
 * Why a journal cannot be read or written: it is unreachable (a server, a path), its server cannot be verified by TLS, the
 * database role lacks a privilege, it has no space, is read-only, is damaged, belongs to another version or program,
 * rejects the data, is locked by another program, or failed otherwise.
 */
export type JournalFault =
  | "unreachable"
  | "untrusted"
  | "denied"
  | "no_space"
  | "busy"
  | "read_only"
  | "damaged"
  | "foreign"
  | "refused"
  | "failed";

/** Why a PostgreSQL database cannot be read or written; as {@link JournalFault}. */
export type DatabaseFault = Exclude<JournalFault, "busy">;

/** All error codes. Codes may be added; none changes its meaning. */
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

/** Marks errors of every copy of this package. */
const BRAND = Symbol.for("castellan.error");

/**
 * An error of Castellan. `code` is stable and says what happened. `message` tells people what happened to whom, and
 * what to do. `details` has the facts by code, and `cause` the underlying error.
 *
 * `instanceof CastellanError` also works for a second copy of this package in the same process.
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

  /** Also true for an error of a second copy of Castellan. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** Whether `value` is an error of Castellan, with this code if one is given. */
  static is<Code extends ErrorCode = ErrorCode>(value: unknown, code?: Code): value is CastellanError<Code> {
    return value instanceof CastellanError && (code === undefined || value.code === code);
  }
}

/** Whether a journal or a database of Castellan could not be read or written. */
export function isStorageFault(
  value: unknown,
): value is CastellanError<"JOURNAL_UNAVAILABLE" | "DATABASE_UNAVAILABLE"> {
  return CastellanError.is(value, "JOURNAL_UNAVAILABLE") || CastellanError.is(value, "DATABASE_UNAVAILABLE");
}

/** Returns the same error with another message and cause. */
export function reworded(error: CastellanError, message: string, cause: unknown): CastellanError {
  const init = [{ details: error.details, cause }] as ErrorArguments<ErrorCode>;
  return new CastellanError<ErrorCode>(error.code, message, ...init);
}
