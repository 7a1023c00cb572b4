import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import type { MemorySize } from "../../capacity/memory-size.ts";
import type { ProcessOptions } from "../../claude/process-options.ts";
import type { REFUSED_SDK_OPTIONS } from "../../claude/sdk-options.ts";
import type { Duration } from "../../duration.ts";
import type { SessionName } from "../../names.ts";
import type { Restart } from "../../supervision/child-spec.ts";
import type { Budget } from "./budget.ts";
import type { GlobalName } from "./global-name.ts";
import type { Isolate } from "./isolation.ts";
import type { OutputSchema } from "./output-schema.ts";
import type { RegisteredName } from "./registered-name.ts";

/** What happens to a new turn while another one runs or waits. */
export type WhenBusy = "enqueue" | "reject" | "interrupt" | "rollback" | "steer";

/** What happens to the turn that was running when the process died. */
export type OnInterruptedTurn = "retry_if_untouched" | "fail" | "retry";

/** Castellan's own options, for one session or for all sessions of a supervisor. */
export interface OwnOptions extends ProcessOptions {
  /** How long a turn may take, from the call to its end, including its time in the mailbox. Default: no limit. */
  timeout?: Duration;
  /** How long a turn may wait in the mailbox. Default `"10m"`. */
  queueTimeout?: Duration;
  /**
   * How long a process may be silent in the middle of a turn before it is killed and the session restarts. Time in
   * which a tool or a callback of the application runs does not count. Default `"10m"`. With `includePartialMessages:
   * false` an answer arrives all at once, so allow for long ones.
   */
  stallTimeout?: Duration;
  /**
   * How long a session may be idle before it hibernates: its process ends, and the next turn starts a process that
   * resumes the conversation. Default: it hibernates only when another session needs its slot, see `capacity` of the
   * supervisor.
   */
  idleTimeout?: Duration;
  /** Keeps the process while the session is idle; only `hibernate()` ends it. Default `false`. */
  pinned?: boolean;
  /**
   * The memory limit of the process and everything it started, as proportional set size: `"500MB"`, or bytes. Measured
   * every ten seconds. Above the limit, a new process with the same conversation replaces it as soon as its turn and
   * background tasks are over. Above twice the limit during a turn or a background task, the process is killed, which
   * counts as a crash. Default: no limit. Works on Linux only; ignored elsewhere.
   */
  maxMemory?: MemorySize;
  /**
   * How long a background task, such as a server that Claude started, may run before it is stopped. Claude is told, and
   * the event `task_overdue` reports it. Default: no limit. `status().tasks` shows when each task started.
   */
  backgroundTaskTimeout?: Duration;
  /** The age at which a process is replaced between turns, with the same conversation. Default: no limit. */
  maxAge?: Duration;
  /**
   * When the first process starts: with the session (`"eager"`), or when it is first needed (`"lazy"`). Default
   * `"eager"`.
   */
  activation?: "eager" | "lazy";
  /** How many turns may wait. Further turns are refused with `MAILBOX_FULL`. Default 100. */
  mailboxLimit?: number;
  /**
   * Treats prompts as plain text, whatever they contain. With `false`, Claude Code treats them as its user's typed
   * input: `@path` sends the file to the model without a tool, a permission or a hook, `@agent-name` and
   * `@server:resource` expand likewise, and a leading `/` runs a command. Use `false` only for input that you trust as
   * much as your own code. Can be set per turn; `command()` runs commands and skills by name. Default `true`.
   */
  verbatimPrompts?: boolean;
  /**
   * `"enqueue"` waits for earlier turns. `"reject"` refuses the turn with `SESSION_BUSY` if another one runs or waits.
   * `"interrupt"` stops the running turn and goes first. `"rollback"` does the same and removes the stopped turn from
   * the conversation. A turn that finishes before it can be stopped keeps its result. A turn that Claude Code began by
   * itself is not stopped; the new turn goes ahead of the other waiting turns. `"steer"` gives a text to the running turn,
   * as `turn.steer` does, and returns that turn; other options of the new turn then have no effect. It enqueues a turn
   * with an `idempotencyKey`, content blocks or a command, and any turn while no caller's turn runs that takes messages.
   * In pools and for global sessions, use `turn.steer`. Default `"enqueue"`.
   */
  whenBusy?: WhenBusy;
  /**
   * Turns Claude's permission requests into objects that can be listed and answered from anywhere, see
   * `session.approvals()`. A request that is not answered in time is denied. Default `false`; `true` means a timeout of
   * `"10m"`.
   */
  approvals?: boolean | { timeout: Duration };
  /**
   * What happens to a turn whose process died. `"retry_if_untouched"` runs it again on the previous conversation if
   * Claude had not begun to answer or act; otherwise the turn ends with `TURN_INTERRUPTED`, whose details hold what had
   * arrived. `"fail"` always ends it. `"retry"` always runs it again, so its actions may happen twice; readers of the
   * turn are told that it starts over, see `Turn`. Default `"retry_if_untouched"`.
   */
  onInterruptedTurn?: OnInterruptedTurn;
  /**
   * What happens when the conversation's transcript is gone, or is older than the journal, such as one restored from a
   * backup. `"fail"` quarantines the session in both cases. `"fresh"` begins a new conversation under the same name if
   * the transcript is gone. By default, a missing transcript quarantines the session. By default and with `"fresh"`,
   * the session resumes an older transcript, and `status().faults` shows `conversation_behind`. If no turn had
   * finished, the session begins anew in every case, because nothing is lost.
   */
  onMissingConversation?: "fail" | "fresh";
  /**
   * When the session restarts after its process ended, as in OTP: always (`"permanent"`), only after a fault
   * (`"transient"`), or never (`"temporary"`). For a session `"transient"` equals `"permanent"`, because a process only
   * ends by itself through a fault. Default `"permanent"`.
   */
  restart?: Restart;
  /**
   * How long the process may take to end before it is killed; `"brutal_kill"` kills it at once, `"infinity"` never
   * does. Default `"5s"`.
   */
  shutdown?: Duration | "brutal_kill" | "infinity";
  /**
   * The schema of the answers: a zod schema or a JSON Schema. Claude answers with matching data, which is validated and
   * returned as `reply.structured`. Replaces the SDK's `outputFormat`.
   */
  outputSchema?: OutputSchema;
  /**
   * How much the session may spend, across restarts of the application. Once it is spent, new turns are refused with
   * `BUDGET_EXCEEDED`; accepted turns finish. Default: no limit.
   * @example
   * { usd: 5, per: "day" }
   */
  budget?: Budget;
  /**
   * What the application knows the session by, such as a user or a tenant: at most 16, with names of up to 63 letters,
   * digits, `_`, `-`, `.` and `/`, and values of up to 200 characters. `supervisor.findSessions` finds sessions by them,
   * and `supervisor.usage` sums by them. They are no labels of metrics. `session.describe` can add and replace some.
   * @example
   * { user: "ann", plan: "free" }
   */
  labels?: Readonly<Record<string, string>>;
  /**
   * Whether the session's record also has each message of the Agent SDK as it came, as an event `message_recorded`, except pieces of
   * messages (`stream_event`). A turn then takes four to twelve times the
   * space. Default `false`.
   */
  recordMessages?: boolean;
  /** Whether the end of this session may end its supervisor, see the supervisor's `autoShutdown`. Default `false`. */
  significant?: boolean;
  /**
   * Gives the session its own working directory instead of `cwd`: a folder in `root`, named after the session. It is
   * created for the current user only, before the first process starts, and remains when the session ends. Claude's
   * file tools then cannot read or write outside it and `additionalDirectories`, whatever rules and permission mode
   * allow. It also holds Claude's memory, see `autoMemory`. Shell commands that do not name an outside path are not
   * restricted; use `sandbox`, a separate user or a container for those. Default `false`; `true` means the root
   * `.castellan/sessions` in the application's working directory.
   * @example
   * { root: "/var/lib/support/sessions" }
   */
  isolate?: Isolate;
}

/** Options for one session, or for all sessions of a supervisor: Castellan's own and the Agent SDK's. */
export interface SessionDefaults
  extends OwnOptions,
    Omit<SdkOptions, keyof typeof REFUSED_SDK_OPTIONS | keyof OwnOptions> {}

/**
 * A session: its name, Castellan's options, and every option of the Agent SDK under its own name.
 *
 * Some SDK options apply to a conversation that outlives its processes. `resume`, `forkSession`, `resumeSessionAt` and
 * `sessionId` select the conversation that the session begins with; later processes resume its current state. Aborting
 * `abortController` stops the session. `env` adds to the environment that Castellan builds; `undefined` removes a
 * variable. `settings` given as an object appears on the process's command line, which other users of the machine can
 * read: put secrets in `env`.
 */
export interface SessionOptions extends SessionDefaults {
  /**
   * With `global(name)` the session lives on one of the nodes of a cluster; the supervisor must have the option
   * `cluster`. With `via(registry, key)` the session is registered there while its supervisor holds it, and its name is
   * `[registry.name, ...key]`.
   */
  name: SessionName | RegisteredName | GlobalName;
  /** Aborting it ends the session, as `terminateSession` does. */
  signal?: AbortSignal;
}
