/** Why a message ended, in the AI SDK's terms. */
export type FinishReason = "stop" | "length" | "content-filter" | "tool-calls" | "other";

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
