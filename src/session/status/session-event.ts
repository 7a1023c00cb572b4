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
  /** When it began, in milliseconds since the epoch. */
  readonly since: number;
}

/** What happens to a session besides its turns. */
export type SessionEvent =
  | { readonly type: "state"; readonly state: SessionState["name"] }
  /** Its process has ended, asked to or not. */
  | { readonly type: "exit"; readonly exit: ExitRecord }
  /** It is in another conversation than it was. */
  | { readonly type: "conversation"; readonly conversationId: string }
  /** All background tasks that there are now. */
  | { readonly type: "background_tasks"; readonly tasks: readonly BackgroundTask[] }
  /** A background task has run for longer than `backgroundTaskTimeout`, and is told to stop. */
  | { readonly type: "background_task_stopped"; readonly task: RunningTask }
  /** Claude Code has begun a turn by itself, since a background task has ended or a schedule was due; `session.turn` finds it. */
  | { readonly type: "turn_began"; readonly turnId: string; readonly origin: TurnOrigin }
  /** That turn has come to its end. `costUsd` is what it cost, if that is known. */
  | {
      readonly type: "turn_ended";
      readonly turnId: string;
      readonly origin: TurnOrigin;
      readonly state: TurnState;
      readonly costUsd?: number;
    }
  /** Claude asks for a permission. */
  | { readonly type: "approval_requested"; readonly approval: Approval }
  /** An approval has been answered, has expired, or is no longer waited for. */
  | {
      readonly type: "approval_settled";
      readonly id: string;
      readonly outcome: "approved" | "denied" | "expired" | "withdrawn";
    }
  /** The MCP servers of the process, of which one does otherwise than before. What is wrong with one is told as a fault, too. */
  | { readonly type: "mcp_servers"; readonly servers: readonly McpServer[] }
  /** Something went wrong that no turn fails of; see {@link SessionFault}. */
  | { readonly type: "fault"; readonly fault: SessionFault }
  /** A message that belongs to no turn. */
  | { readonly type: "message"; readonly message: SDKMessage };
