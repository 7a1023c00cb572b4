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

/** What happens to a turn that is asked for while another one runs or waits. */
export type WhenBusy = "enqueue" | "reject" | "interrupt" | "rollback";

/** What happens to the turn that was running when the process died. */
export type OnInterruptedTurn = "retry_if_untouched" | "fail" | "retry";

/** The options of Castellan's own that can be given for all sessions of a supervisor, or for one. */
export interface OwnOptions extends ProcessOptions {
  /** How long a turn may take, from the call to its end; the time in the mailbox counts. Default: as long as it takes. */
  timeout?: Duration;
  /** How long a turn may wait in the mailbox. Default `"10m"`. */
  queueTimeout?: Duration;
  /**
   * How long a process may be silent in the middle of a turn, while no tool runs and nothing of the application's is
   * waited for, before it is killed and the session restarted. Default `"10m"`. With `includePartialMessages: false` an
   * answer is silent until it is written, so leave room for long ones.
   */
  stallTimeout?: Duration;
  /**
   * After how long without anything to do the session hibernates: its process ends, and another one takes the conversation
   * up when the next turn comes, which costs a start. Default: only when another session needs the place, see `capacity` of
   * the supervisor.
   */
  idleTimeout?: Duration;
  /** Whether the session keeps its process, idle or not; only `hibernate()` takes it away. Default `false`. */
  pinned?: boolean;
  /**
   * How much memory the process may use, with all that it started, as proportional set size: `"500MB"`, or bytes. It is
   * measured every ten seconds. When it is more, the process is replaced by another one with the same conversation as soon
   * as its turn and its background tasks are over; when it is more than twice that before, the process is killed, which counts as a
   * crash. Default: no limit. Only Linux tells it; elsewhere it means nothing.
   */
  maxMemory?: MemorySize;
  /**
   * How long a background task may run, such as a server that Claude has started. One that runs for longer is stopped, which Claude is
   * told, and the event `background_task_stopped` tells of. Default: no limit; `status().tasks` tells since when each runs.
   */
  backgroundTaskTimeout?: Duration;
  /** How old the process may become before it is replaced between turns, with the same conversation. Default: no limit. */
  maxAge?: Duration;
  /** Whether a process is started with the session, or, with `"lazy"`, when it is first needed. Default `"eager"`. */
  activation?: "eager" | "lazy";
  /** How many turns may wait. One more is refused with `MAILBOX_FULL`. Default 100. */
  mailboxLimit?: number;
  /**
   * Whether prompts are text, whatever stands in them. With `false`, which is for input that can be trusted as much as the code
   * of the application, Claude Code takes them as typed by its user: `@path` sends the file to the model, without a tool,
   * permission or hook being asked, `@agent-name` and `@server:resource` do the like, and what begins with `/` is run as a
   * command. Can be set for a turn, too; for commands and skills by name there is `command()`. Default `true`.
   */
  verbatimPrompts?: boolean;
  /**
   * `"enqueue"` lets a turn wait for those before it, `"reject"` refuses it with `SESSION_BUSY` if there are any, `"interrupt"` stops the
   * turn that runs and goes first, and `"rollback"` also takes that turn out of the conversation. A turn that is done before it can be stopped stands. One that Claude Code has begun by itself is never stopped so; the
   * turn goes before the others that wait for it. Default `"enqueue"`.
   */
  whenBusy?: WhenBusy;
  /**
   * Turns the permissions that Claude asks for into objects that can be listed and answered from anywhere, see
   * `session.approvals()`. One that nobody answers in time is denied. Default `false`; with `true` the time is `"10m"`.
   */
  approvals?: boolean | { timeout: Duration };
  /**
   * What happens to a turn whose process died. `"retry_if_untouched"` runs it again if Claude had not begun to answer or
   * to act, on the conversation as it was before, and otherwise ends it with `TURN_INTERRUPTED`, which tells what is
   * known; `"fail"` always ends it; `"retry"` always runs it again, so that what it did may be done
   * twice; readers of the turn are told that it begins anew, see `Turn`. Default `"retry_if_untouched"`.
   */
  onInterruptedTurn?: OnInterruptedTurn;
  /**
   * What happens when the transcript of the conversation is gone, or older than the journal knows, as one from a backup is. `"fail"`
   * quarantines the session in both cases. `"fresh"` begins a new conversation under the same name if it is gone. Default: one that is
   * gone quarantines the session, which does not forget by itself. One that is older is gone on with, also with `"fresh"`, and
   * `status().faults` says `conversation_behind`. Where no turn had come to its end nothing is lost with a transcript, and the session
   * begins anew in any case.
   */
  onMissingConversation?: "fail" | "fresh";
  /**
   * When the session is started again after its process ended, as in OTP: always, only after a fault (`"transient"`, which is
   * the same for a session, since a process ends by itself only with a fault), or never. Default `"permanent"`.
   */
  restart?: Restart;
  /** How long the process may take to end before it is killed, `"brutal_kill"` for at once, `"infinity"`. Default `"5s"`. */
  shutdown?: Duration | "brutal_kill" | "infinity";
  /**
   * The form of the answers: a schema of zod's, or a JSON Schema. Claude answers with data of that form, which is checked
   * and stands in `reply.structured`. Takes the place of the SDK's `outputFormat`.
   */
  outputSchema?: OutputSchema;
  /**
   * How much the session may spend, over all restarts of the application. When it is spent, new turns are refused with
   * `BUDGET_EXCEEDED`; those that have been accepted are finished. Default: no limit.
   * @example
   * { usd: 5, per: "day" }
   */
  budget?: Budget;
  /** Whether the end of this session may end its supervisor, see the supervisor's `autoShutdown`. Default `false`. */
  significant?: boolean;
  /**
   * Gives the session a working directory of its own in the place of `cwd`: a folder named for it in `root`, which is made for this
   * user only before its first process starts, and stays when the session ends. Claude's file tools then read and write nothing
   * outside it and `additionalDirectories`, whatever rules and permission mode allow; what Claude remembers is in it too, see
   * `autoMemory`. Shell commands that do not name a path outside are not held back; for those take `sandbox`, a user or a container
   * of its own. Default `false`; with `true` the root is `.castellan/sessions` in the working directory of the application.
   * @example
   * { root: "/var/lib/support/sessions" }
   */
  isolate?: Isolate;
}

/** Options that can be given for all sessions of a supervisor, or for one: Castellan's, and those of the Agent SDK. */
export interface SessionDefaults
  extends OwnOptions,
    Omit<SdkOptions, keyof typeof REFUSED_SDK_OPTIONS | keyof OwnOptions> {}

/**
 * A session: its name, Castellan's options, and every option of the Agent SDK under its own name.
 *
 * Some options of the SDK mean what they mean for a conversation that outlives its processes. `resume`, `forkSession`,
 * `resumeSessionAt` and `sessionId` say which conversation the session begins with; later processes resume whatever it
 * has become. Aborting `abortController` stops the session. `env` is set on top of the environment that Castellan builds,
 * where `undefined` takes a variable out. `settings` given as an object stands on the command line of the process, where
 * other users of the machine can read it: keep secrets in `env`.
 */
export interface SessionOptions extends SessionDefaults {
  /**
   * With `global(name)` it lives on one of the nodes of a cluster; the supervisor must have the option `cluster`.
   * With `via(registry, key)` the session is registered there while its supervisor holds it, and is named `[registry.name, ...key]`.
   */
  name: SessionName | RegisteredName | GlobalName;
  /** Aborting it ends the session, as `terminateSession` does. */
  signal?: AbortSignal;
}
