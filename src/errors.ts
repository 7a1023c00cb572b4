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

/** The `details` of an error whose code says everything. */
export type NoDetails = Readonly<Record<never, never>>;

/** The errors by code: what happened, and the `details` that the error has. */
export interface ErrorDetails {
  /** No session has this name. `nearMisses` are names that differ little from it. */
  SESSION_NOT_FOUND: { readonly nearMisses: readonly string[] };
  /** The name is taken in this process, in the supervisor that `supervisor` names. */
  SESSION_ALREADY_STARTED: { readonly supervisor: string };
  /** The supervisor has given up restarting the session. */
  SESSION_QUARANTINED: { readonly lastExits: readonly ExitRecord[] };
  /** The session has ended, and this handle no longer works. */
  SESSION_STOPPED: NoDetails;
  /** The session has a turn, and the request is only for an idle one: `whenBusy: "reject"`, or `hibernate()`. */
  SESSION_BUSY: NoDetails;
  /** The supervisor has stopped, or is about to. */
  SUPERVISOR_STOPPED: NoDetails;
  /** Options are invalid. `problems` lists all of them. */
  INVALID_OPTIONS: { readonly problems: readonly OptionProblem[] };
  /** Castellan does not find the program of Claude Code. */
  CLAUDE_NOT_FOUND: { readonly exit: ExitRecord };
  /** A process did not start. */
  START_FAILED: { readonly exit: ExitRecord };
  /** The process refused a control such as `setModel`. */
  CONTROL_FAILED: NoDetails;
  /** The process did not respond to a control within ten seconds. */
  CONTROL_TIMEOUT: NoDetails;
  /** The `timeout` of the turn expired. */
  TURN_TIMEOUT: PartialTurn & { readonly timeoutMs: number };
  /** Somebody stopped the turn, or its process died after the turn had begun. */
  TURN_INTERRUPTED: PartialTurn & {
    /** How the process ended, if that ended the turn. */
    readonly exit?: ExitRecord;
  };
  /** The signal of the turn was aborted, or the turn was stopped before it began. */
  TURN_CANCELLED: { readonly turnId: string };
  /** `turn.steer` came too late, or the turn takes no messages. */
  STEER_REFUSED: { readonly turnId: string; readonly reason: SteerRefusal };
  /**
   * A database lost an accepted turn: it failed over to a replica without it, or was restored from a backup. The turn
   * may have run in part.
   */
  TURN_LOST: PartialTurn;
  /** The process does not know the command or skill. Nothing ran. */
  COMMAND_NOT_FOUND: { readonly command: string; readonly nearMisses: readonly string[] };
  /** The API or a limit of the turn ended it. */
  TURN_FAILED: PartialTurn & {
    /**
     * `auth`, `billing`, `quota` and `overload` come from the API: it rejects the key or account, the credit is used
     * up, a usage limit is reached, or the API is overloaded. `request`: the API rejects the prompt or the conversation.
     * `turn` is the turn's own limit, such as `maxTurns`.
     */
    readonly class: "auth" | "billing" | "quota" | "overload" | "request" | "turn" | "unknown";
    /** HTTP status of the API, if any. */
    readonly status?: number;
    /** When a retry may work, in milliseconds since the epoch, if known. */
    readonly retryAt?: number;
  };
  /** As many turns wait as `mailboxLimit` allows. */
  MAILBOX_FULL: { readonly limit: number };
  /** The turn waited in the mailbox for longer than its `queueTimeout`. */
  QUEUE_TIMEOUT: { readonly turnId: string; readonly timeoutMs: number };
  /** No process, or no running turn, was allowed in time. */
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
  /**
   * No member of the pool was free in time, or too many callers wait. `timeoutMs` is how long this caller waited, `lent` the number
   * of lent members, `waiting` the number of waiting callers.
   */
  POOL_EXHAUSTED: {
    readonly pool: string;
    readonly size: number;
    readonly lent: number;
    readonly waiting: number;
    readonly timeoutMs: number;
  };
  /** The loan has ended: it was checked in, or its lease expired. */
  LOAN_ENDED: { readonly pool: string; readonly reason: "checked_in" | "lease_over" };
  /** No pool has this name. */
  POOL_NOT_FOUND: { readonly nearMisses: readonly string[] };
  /** The signal of the checkout was aborted. */
  CHECKOUT_CANCELLED: { readonly pool: string };
  /** As many sessions of the template are in memory as `maxSessions` allows, and none is hibernated. */
  TEMPLATE_FULL: { readonly template: string; readonly maxSessions: number };
  /**
   * A reader came too late for what it asked for, or the journal did not keep that much of the turn. `oldest` is the number of the
   * first event that is still there.
   */
  EVENTS_LOST: { readonly oldest: number };
  /** The `budget` of the session or the supervisor is spent. */
  BUDGET_EXCEEDED: {
    /** Owner of the budget. */
    readonly scope: "session" | "supervisor";
    readonly limitUsd: number;
    readonly spentUsd: number;
  };
  /** The journal cannot be written or read. */
  JOURNAL_UNAVAILABLE: {
    readonly reason: JournalFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
    /** For the reason `denied`, if known: the SQL statements that grant what the role lacks. */
    readonly grants?: readonly string[];
  };
  /** A PostgreSQL database that holds a cluster's state or the transcripts of `postgresSessionStore` cannot be written or read. */
  DATABASE_UNAVAILABLE: {
    readonly reason: DatabaseFault;
    /** Whether the write took effect. Left out if unknown. */
    readonly applied?: boolean;
    /** For the reason `denied`, if known: the SQL statements that grant what the role lacks. */
    readonly grants?: readonly string[];
  };
  /** The key of a registry is taken. */
  KEY_ALREADY_REGISTERED: {
    /** The name of the registry, if it has one. */
    readonly registry: string | undefined;
    readonly key: RegisteredKey;
  };
  /** Nobody registered the key in time. */
  REGISTRATION_TIMEOUT: {
    /** The name of the registry, if it has one. */
    readonly registry: string | undefined;
    readonly key: RegisteredKey;
    readonly timeoutMs: number;
  };
  /** The cluster did not answer within `patience`. */
  CLUSTER_UNAVAILABLE: { readonly reason: ClusterFault };
  /** A live node of the cluster has the name. `address` is where that node is reached. */
  NODE_NAME_TAKEN: { readonly node: string; readonly address: string };
  /**
   * The sessions have another owner: another application has taken over the journal, the next process has taken them back after a
   * deploy, or other nodes of the cluster have, or may have, the global sessions of this one. The supervisor ends; a node joins again.
   */
  NOT_OWNER: NoDetails;
  /** A session could not be erased: a file cannot be removed, or another application has its conversation. */
  ERASURE_INCOMPLETE: {
    /** What remains of the session, as descriptions or paths. */
    readonly remaining: readonly string[];
  };
  /** Another process owns the journal. */
  JOURNAL_IN_USE: {
    readonly pid: number;
    readonly host: string;
    /** When the owner started, in milliseconds since the epoch. */
    readonly startedAt: number;
  };
  /** The supervisor has no child with this id. */
  CHILD_NOT_FOUND: NoDetails;
  /** A child with this id runs already. */
  CHILD_ALREADY_STARTED: NoDetails;
  /** A child with this id exists, and does not run. */
  CHILD_ALREADY_PRESENT: NoDetails;
  /** The child runs, and the call is only for one that does not. */
  CHILD_RUNNING: NoDetails;
  /** The child is being restarted. */
  CHILD_RESTARTING: NoDetails;
  /** A worker or a supervisor did not start. `cause` is what its `start` threw. */
  CHILD_START_FAILED: NoDetails;
  /** A child could not be ended. */
  CHILD_NOT_GONE: NoDetails;
  /** The supervisor has as many children as `maxChildren` allows. */
  MAX_CHILDREN: NoDetails;
}

/**
 * Why a cluster could not answer. `no_node`: no live node hosts the name. `unreachable`: its node does not answer, or refuses.
 * `protocol`: the node's release is too far from this one. `uncertain`: the node went away during the request, which may have taken
 * effect.
 */
export type ClusterFault = "no_node" | "unreachable" | "protocol" | "uncertain";

/**
 * Why a turn takes no message. `ended`: it has ended. `stopping`: it is being stopped. `unprompted`: Claude Code began it by itself.
 * `unsupported`: Claude Code is too old to report what it reads. `too_many`: the turn has got too many messages.
 */
export type SteerRefusal = "ended" | "stopping" | "unprompted" | "unsupported" | "too_many";

/** A key of a registry. */
type RegisteredKey = string | number | readonly (string | number)[];

/**
 * Why a journal cannot be read or written. `unreachable`: its server or path is. `untrusted`: the server cannot be verified by TLS.
 * `denied`: the database role lacks a privilege. `no_space`: the disk is full. `busy`: another program has locked it. `read_only`: it
 * cannot be written. `damaged`: its content is. `foreign`: it belongs to another version or program. `refused`: it rejects the data.
 * `failed`: anything else.
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
export type ErrorCode = keyof ErrorDetails;

type ErrorInit<Code extends ErrorCode> = (NoDetails extends ErrorDetails[Code]
  ? { details?: never }
  : { details: ErrorDetails[Code] }) & { cause?: unknown };

type ErrorArguments<Code extends ErrorCode> = Code extends ErrorCode
  ? NoDetails extends ErrorDetails[Code]
    ? [ErrorInit<Code>?]
    : [ErrorInit<Code>]
  : never;

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
  readonly details: Readonly<ErrorDetails[Code]>;

  constructor(code: Code, message: string, ...[init]: ErrorArguments<Code>) {
    super(printable(message), init?.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.details = (init?.details ?? {}) as ErrorDetails[Code];
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
