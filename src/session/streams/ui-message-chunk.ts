import type { SessionName } from "../../names.ts";
import type { FinishReason } from "./finish-reason.ts";
import type { Reply } from "./reply.ts";

/**
 * What {@link Turn.toUIMessageStreamResponse} says about a turn in the message's `metadata`.
 *
 * @example
 * const { messages } = useChat<UIMessage<TurnMetadata>>();
 */
export interface TurnMetadata extends Partial<Pick<Reply, "usage" | "costUsd" | "stopReason" | "command">> {
  readonly session: SessionName;
  readonly turnId: string;
}

/** A piece of a message, as the AI SDK's UI message stream defines it; those of its chunks that a turn needs. */
export type UIMessageChunk =
  | { readonly type: "start"; readonly messageId: string; readonly messageMetadata: TurnMetadata }
  | { readonly type: "start-step" }
  | { readonly type: "text-start" | "text-end"; readonly id: string }
  | { readonly type: "text-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "reasoning-start" | "reasoning-end"; readonly id: string }
  | { readonly type: "reasoning-delta"; readonly id: string; readonly delta: string }
  | ToolChunk
  | { readonly type: "finish-step" }
  /** Something came here that is no longer there; see {@link Turn.recalled}. */
  | { readonly type: "data-lost"; readonly data: { readonly code: "EVENTS_LOST" } }
  /** Takes back what the step has so far. */
  | { readonly type: "reset-step" }
  | { readonly type: "finish"; readonly finishReason: FinishReason; readonly messageMetadata: TurnMetadata }
  | { readonly type: "error"; readonly errorText: string }
  | { readonly type: "abort"; readonly reason: string };

/**
 * Tools are dynamic, that is, not of types that the page knows, and have been run where the answer is made: the page has
 * neither to run them nor to send what they answered.
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
