import type { PermissionMode } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import type { BackgroundTask } from "../../claude/messages/background-tasks.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";
import type { ExitRecord } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { SessionName } from "../../names.ts";
import type { Approval } from "../conversation/approval.ts";
import type { RunningTask } from "./session-event.ts";
import type { SessionFault } from "./session-fault.ts";
import type { SessionState, Wait } from "./session-state.ts";

/**
 * What a session waits for: one or more approvals, the oldest of which expires at `until`, the API, or that a process or a turn
 * of another one ends.
 */
export type Waiting =
  | Wait
  | { readonly for: "approval"; readonly until: number; readonly approvals: number }
  | { readonly for: "capacity"; readonly until?: undefined };

/** What is known of a session at a moment, without asking anybody. Times are milliseconds since the epoch. */
export interface SessionStatus {
  readonly name: SessionName;
  readonly state: SessionState["name"];
  /** Process id of Claude Code, from its start to its end. */
  readonly pid?: number;
  /** When the process was ready. */
  readonly startedAt?: number;
  /**
   * How much memory the process used, with all that it started, when that was last measured: while the session has a
   * `maxMemory` or its supervisor a `memoryBudget`, every ten seconds.
   */
  readonly memoryBytes?: number;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  /**
   * The permission mode that it is in: by its options, by `setPermissionMode`, by what was approved, or because Claude has entered plan
   * mode. Left out until it is known, if the options do not say it.
   */
  readonly permissionMode?: PermissionMode;
  /** How many processes this session has had. */
  readonly activation: number;
  /** When the process last said anything. */
  readonly lastSignOfLife?: number;
  /** What it waits for, if it does: a permission, the API, or room. */
  readonly waitingFor?: Waiting;
  /** The turn that runs, if one does: its id, who began it, and since when it runs. Claude Code begins turns by itself too. */
  readonly turn?: { readonly id: string; readonly origin: TurnOrigin; readonly since: number };
  /** How many tasks go on in the process besides its turn. */
  readonly backgroundTasks: number;
  /** Those tasks, and since when each of them runs; the oldest first. */
  readonly tasks: readonly RunningTask[];
  /**
   * The turns that Claude has scheduled for itself, by `ScheduleWakeup` or `CronCreate`. Its process keeps them, so the session keeps its
   * process until they have come; those that are lost with it are told as a fault.
   */
  readonly wakeups: readonly Wakeup[];
  /** The MCP servers of its process as they were last seen, if it has any: every ten seconds, and more often while some are being connected. */
  readonly mcpServers?: readonly McpServer[];
  /**
   * What went wrong in this conversation besides its turns, the last eight of it, and what is wrong with MCP servers; see
   * {@link SessionFault}.
   */
  readonly faults: readonly SessionFault[];
  /** How many turns wait. */
  readonly mailbox: number;
  /** How many times the session has been started again after an exit that nobody asked for. */
  readonly restarts: number;
  readonly lastExit?: ExitRecord;
  /** When the next start is due, while one waits for its back-off. */
  readonly retryAt?: number;
}

/**
 * The state as callers see it. Idle means that nothing goes on at all, so a background task makes a session busy, and a
 * permission that somebody has to give makes it wait.
 */
export function visibleState(
  { name }: SessionState,
  approvals: readonly Approval[],
  tasks: readonly BackgroundTask[],
): SessionState["name"] {
  if ((name === "idle" || name === "busy") && approvals.length > 0) return "waiting";
  return name === "idle" && tasks.some(({ ambient }) => ambient !== true) ? "busy" : name;
}

/** What a session waits for, if it does. */
export function waitingOf(
  approvals: readonly Approval[],
  wait: Wait | undefined,
  inLine: boolean,
): Waiting | undefined {
  const [oldest] = approvals;
  if (oldest !== undefined) return { for: "approval", until: oldest.expiresAt, approvals: approvals.length };
  return inLine ? { for: "capacity" } : wait;
}
