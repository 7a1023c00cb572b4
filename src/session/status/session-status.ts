import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import type { BackgroundTask } from "../../claude/messages/background-tasks.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { ExitRecord } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { SessionName } from "../../names.ts";
import type { Approval } from "../conversation/approval.ts";
import type { RunningTask } from "./running-task.ts";
import type { SessionFault } from "./session-fault.ts";
import type { SessionState, TurnHold } from "./session-state.ts";

/**
 * What a session waits for: approvals, the oldest of which expires at `until`; the API, until `until`; or capacity,
 * that is, the end of another session's process or turn.
 */
export type Waiting =
  | TurnHold
  | { readonly for: "approval"; readonly until: number; readonly approvals: number }
  | { readonly for: "capacity"; readonly until?: undefined };

/**
 * A snapshot of a session, from what is already known; asks neither process nor journal. Times are in milliseconds
 * since the epoch.
 */
export interface SessionStatus {
  readonly name: SessionName;
  readonly state: SessionState["name"];
  /** From `session.describe`, or the Agent SDK's option `title`. */
  readonly title?: string;
  /** From the option `labels` and `session.describe`. Left out if there are none. */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * When the name was first used. Of a session from before this was recorded, the earliest time that the journal knows;
   * left out if there is none, and until the journal has been read.
   */
  readonly createdAt?: number;
  /** When the session was archived, if it is, see `session.describe`. */
  readonly archivedAt?: number;
  /** The application's own data, from `session.describe`. */
  readonly metadata?: JsonObject;
  /** The process id of Claude Code, while the process exists. */
  readonly pid?: number;
  /** When the process became ready. */
  readonly startedAt?: number;
  /**
   * The memory use of the process and everything it started, as last measured. Measured every ten seconds, only if the
   * session has a `maxMemory` or its supervisor a `memoryBudget`.
   */
  readonly memoryBytes?: number;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  /**
   * The current permission mode: from the options, `setPermissionMode`, an approval, or Claude entering plan mode. Left
   * out until known, if the options do not set it.
   */
  readonly permissionMode?: PermissionMode;
  /** How many processes the session has started in this run of the application, failed starts included. */
  readonly starts: number;
  /** When the process last produced output. */
  readonly lastSignOfLife?: number;
  /** What the session waits for: a permission, the API, or capacity. */
  readonly waitingFor?: Waiting;
  /** The running turn: its id, its origin, and when it began. Claude Code also begins turns by itself. */
  readonly turn?: { readonly id: string; readonly origin: TurnOrigin; readonly since: number };
  /** How many background tasks the process runs. */
  readonly backgroundTasks: number;
  /** The background tasks, oldest first. */
  readonly tasks: readonly RunningTask[];
  /**
   * The turns that Claude scheduled for itself with `ScheduleWakeup` or `CronCreate`. They exist only in the process,
   * so the session keeps its process until they have run. If the process is lost, a fault reports them.
   */
  readonly wakeups: readonly Wakeup[];
  /** The process's MCP servers as last seen. Polled every ten seconds, and more often while a server is connecting. */
  readonly mcpServers?: readonly McpServer[];
  /** The last eight faults in this conversation, and the current faults of MCP servers; see {@link SessionFault}. */
  readonly faults: readonly SessionFault[];
  /** How many turns wait. */
  readonly mailbox: number;
  /** How many times the session restarted after an unexpected exit. */
  readonly restarts: number;
  readonly lastExit?: ExitRecord;
  /** When the next start is due, during back-off. */
  readonly retryAt?: number;
}

/**
 * Returns the state that callers see. A session with a running background task shows as busy, and one with a pending
 * permission request as waiting.
 */
export function visibleState(
  { name }: SessionState,
  approvals: readonly Approval[],
  tasks: readonly BackgroundTask[],
): SessionState["name"] {
  if ((name === "idle" || name === "busy") && approvals.length > 0) return "waiting";
  return name === "idle" && tasks.some(({ ambient }) => ambient !== true) ? "busy" : name;
}

/** Returns what a session waits for, or undefined. */
export function waitingOf(
  approvals: readonly Approval[],
  hold: TurnHold | undefined,
  inLine: boolean,
): Waiting | undefined {
  const [oldest] = approvals;
  if (oldest !== undefined) return { for: "approval", until: oldest.expiresAt, approvals: approvals.length };
  return inLine ? { for: "capacity" } : hold;
}
