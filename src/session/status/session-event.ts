import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import type { BackgroundTask, TaskDescription } from "../../claude/messages/background-tasks.ts";
import type { ExitRecord } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { Approval } from "../conversation/approval.ts";
import type { TurnState } from "../streams/turn-state.ts";
import type { SessionFault } from "./session-fault.ts";
import type { SessionState } from "./session-state.ts";

/** A background task that runs. */
export interface RunningTask extends TaskDescription {
  /** When the task started, in milliseconds since the epoch. */
  readonly since: number;
}

/** What a session reports besides its turns. */
export type SessionEvent =
  | { readonly type: "state"; readonly state: SessionState["name"] }
  /** The process ended, expectedly or not. */
  | { readonly type: "exit"; readonly exit: ExitRecord }
  /** The session switched to another conversation. */
  | { readonly type: "conversation"; readonly conversationId: string }
  /** The current background tasks, all of them. */
  | { readonly type: "background_tasks"; readonly tasks: readonly BackgroundTask[] }
  /** A background task exceeded `backgroundTaskTimeout` and is being stopped. */
  | { readonly type: "background_task_stopped"; readonly task: RunningTask }
  /**
   * Claude Code began a turn by itself, because a background task ended or a schedule came due; `session.turn` returns
   * it.
   */
  | { readonly type: "turn_began"; readonly turnId: string; readonly origin: TurnOrigin }
  /** Such a turn ended. `costUsd` is its cost, if known. */
  | {
      readonly type: "turn_ended";
      readonly turnId: string;
      readonly origin: TurnOrigin;
      readonly state: TurnState;
      readonly costUsd?: number;
    }
  /** Claude requests a permission. */
  | { readonly type: "approval_requested"; readonly approval: Approval }
  /** A permission request was answered, expired or was withdrawn. */
  | {
      readonly type: "approval_settled";
      readonly id: string;
      readonly outcome: "approved" | "denied" | "expired" | "withdrawn";
    }
  /**
   * The process's MCP servers, after the status of at least one changed. A failing server is also reported as a fault.
   */
  | { readonly type: "mcp_servers"; readonly servers: readonly McpServer[] }
  /** Something failed outside any turn; see {@link SessionFault}. */
  | { readonly type: "fault"; readonly fault: SessionFault }
  /** A message that belongs to no turn. */
  | { readonly type: "message"; readonly message: SDKMessage };
