import type { SessionName } from "../../names.ts";
import type { Reply } from "./reply.ts";
import type { ShownApproval, ShownApprovalEnd } from "./shown-approval.ts";

/**
 * The `metadata` of a message from {@link Turn.toUIMessageStreamResponse}.
 *
 * @example
 * const { messages } = useChat<UIMessage<TurnMetadata>>();
 */
export interface TurnMetadata extends Partial<Pick<Reply, "usage" | "costUsd" | "stopReason" | "command">> {
  readonly session: SessionName;
  readonly turnId: string;
}

/** A permission request of the turn, with its outcome once it has one: the `data` of a part of the type `data-approval`. */
export type UIApproval = ShownApproval & Partial<ShownApprovalEnd>;

/** A chunk of the AI SDK's UI message stream; the kinds that a turn needs. */
export type UIMessageChunk =
  | { readonly type: "start"; readonly messageId: string; readonly messageMetadata: TurnMetadata }
  | { readonly type: "start-step" }
  | { readonly type: "text-start" | "text-end"; readonly id: string }
  | { readonly type: "text-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "reasoning-start" | "reasoning-end"; readonly id: string }
  | { readonly type: "reasoning-delta"; readonly id: string; readonly delta: string }
  | ToolChunk
  | { readonly type: "tool-approval-request"; readonly approvalId: string; readonly toolCallId: string }
  /** A permission request; a later chunk with the same id adds how it ended. */
  | { readonly type: "data-approval"; readonly id: string; readonly data: UIApproval }
  | { readonly type: "finish-step" }
  /** A part of the output that is no longer kept; see {@link Turn.recalled}. */
  | { readonly type: "data-lost"; readonly data: { readonly code: "EVENTS_LOST" } }
  /** Takes back the current step. */
  | { readonly type: "reset-step" }
  | { readonly type: "finish"; readonly finishReason: FinishReason; readonly messageMetadata: TurnMetadata }
  | { readonly type: "error"; readonly errorText: string }
  | { readonly type: "abort"; readonly reason: string };

/**
 * Tools are dynamic, because the page does not know their types, and have already run: the page neither runs them nor
 * sends their output.
 */
export interface Tool {
  readonly toolCallId: string;
  readonly dynamic: true;
  readonly providerExecuted: true;
}

type ToolChunk =
  | (Tool & { readonly type: "tool-input-start"; readonly toolName: string })
  | { readonly type: "tool-input-delta"; readonly toolCallId: string; readonly inputTextDelta: string }
  | (Tool & { readonly type: "tool-input-available"; readonly toolName: string; readonly input: unknown })
  | (Tool & { readonly type: "tool-output-available"; readonly output: unknown })
  | (Tool & { readonly type: "tool-output-error"; readonly errorText: string });

/** Why a message ended, in the AI SDK's terms. */
type FinishReason = "stop" | "length" | "content-filter" | "tool-calls" | "other";

/** Converts a stop reason of the Messages API. */
export function finishReasonOf(stopReason: string | null): FinishReason {
  switch (stopReason) {
    case "end_turn":
    case "stop_sequence":
      return "stop";
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "refusal":
      return "content-filter";
    case "tool_use":
      return "tool-calls";
    default:
      return "other";
  }
}
