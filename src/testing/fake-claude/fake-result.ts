import type { ModelUsage, SDKPermissionDenial, TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import type { FakeUsage } from "./fake-costs.ts";
import type { FakeEcho } from "./fake-messages.ts";
import type { WireObject } from "./fake-wire.ts";

/** A result that a script sets. All defaults are those of a successful turn. */
export interface FakeResult {
  /** The text of the result. Default: the last text of the turn. */
  readonly text?: string;
  /** Default: `true` for every subtype but `"success"`. */
  readonly isError?: boolean;
  /** Default: `"success"`. */
  readonly subtype?:
    | "success"
    | "error_during_execution"
    | "error_max_turns"
    | "error_max_budget_usd"
    | "error_max_structured_output_retries";
  /** The cost of this turn in US dollars; the message has the total so far. Default: the fake's `costPerTurnUsd`. */
  readonly costUsd?: number;
  /** Tokens of this turn. Default: estimated from the length of prompt and answer. */
  readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number };
  /** The structured output of a session with `outputFormat`. */
  readonly structuredOutput?: unknown;
  /** The HTTP status of the API's error. */
  readonly apiErrorStatus?: number;
  /** Default: `"completed"`, or the reason that matches the subtype. */
  readonly terminalReason?: TerminalReason;
  /** The error lines of an error result. */
  readonly errors?: readonly string[];
}

/** The facts of a turn at its end. */
export interface FakeTurnFacts {
  readonly echo: FakeEcho;
  readonly startedAt: number;
  readonly steps: number;
  readonly partialMessages: boolean;
  readonly apiMessageIds: readonly string[];
  readonly stopReason: string | null;
  readonly usage: FakeUsage;
  readonly totalCostUsd: number;
  readonly modelUsage: Record<string, ModelUsage>;
  readonly turnUsage: Record<string, ModelUsage>;
  readonly denials: readonly SDKPermissionDenial[];
  readonly queued: number;
  readonly resultIndex: number;
  /** The origin of a turn that a task began. */
  readonly origin?: WireObject;
  /** The fields that describe the API error that ended the turn. */
  readonly apiError?: WireObject;
}

const REASONS: Record<NonNullable<FakeResult["subtype"]>, TerminalReason> = {
  success: "completed",
  error_during_execution: "aborted_streaming",
  error_max_turns: "max_turns",
  error_max_budget_usd: "budget_exhausted",
  error_max_structured_output_retries: "structured_output_retry_exhausted",
};

/** The result message that ends a turn. */
export function resultMessage(result: FakeResult, facts: FakeTurnFacts): WireObject {
  const subtype = result.subtype ?? "success";
  const success = subtype === "success";
  const duration = Math.round(performance.now() - facts.startedAt);
  return {
    type: "result",
    subtype,
    is_error: result.isError ?? !success,
    duration_ms: duration,
    duration_api_ms: duration,
    num_turns: facts.steps,
    stop_reason: facts.stopReason,
    total_cost_usd: facts.totalCostUsd,
    usage: usageFigures(facts.usage),
    modelUsage: facts.modelUsage,
    model_usage_since_last_result: facts.turnUsage,
    permission_denials: facts.denials,
    terminal_reason: result.terminalReason ?? REASONS[subtype],
    fast_mode_state: "off",
    fast_mode_disabled_reason: "sdk_opt_in_required",
    subagent_stats: NO_SUBAGENTS,
    safety_stops: 0,
    ...(success
      ? {
          result: result.text ?? "",
          api_error_status: result.apiErrorStatus ?? null,
        }
      : { errors: result.errors ?? [result.text ?? subtype] }),
    ...withoutUndefined({ structured_output: result.structuredOutput }),
    ...(facts.partialMessages ? { begun_message_ids: facts.apiMessageIds } : {}),
    queued_turn_count: facts.queued,
    result_index: facts.resultIndex,
    ...(success && result.isError !== true
      ? {
          ttft_ms: duration,
          ttft_stream_ms: duration,
          time_to_request_ms: 0,
          first_content_frame_ms: duration,
          request_sent_wall_ms: Date.now(),
          first_request_input_tokens: facts.usage.inputTokens,
          first_request_cache_read_input_tokens: 0,
        }
      : {}),
    ...facts.echo,
    ...withoutUndefined({ origin: facts.origin }),
    ...facts.apiError,
  };
}

/** The result of a process that failed to start; it belongs to no turn. */
export function startFailureResult(errors: readonly string[], reason: string | undefined): WireObject {
  return {
    type: "result",
    subtype: "error_during_execution",
    duration_ms: 0,
    duration_api_ms: 0,
    is_error: true,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: 0,
    usage: usageFigures({ inputTokens: 0, outputTokens: 0, costUsd: 0 }),
    modelUsage: {},
    permission_denials: [],
    errors,
    result_index: 0,
    ...withoutUndefined({ startup_failure_reason: reason }),
  };
}

const NOTHING = { totalCostUsd: 0, modelUsage: {}, turnUsage: {} };

/** The result of a built-in command. `spent` is the cost of the conversation and of the command, if any. */
export function localCommandResult(
  command: string,
  echo: FakeEcho,
  startedAt: number,
  resultIndex: number,
  spent: { readonly totalCostUsd: number; readonly modelUsage: WireObject; readonly turnUsage: WireObject } = NOTHING,
): WireObject {
  return {
    type: "result",
    subtype: "success",
    is_error: false,
    duration_ms: Math.round(performance.now() - startedAt),
    duration_api_ms: 0,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: spent.totalCostUsd,
    usage: usageFigures({ inputTokens: 0, outputTokens: 0, costUsd: 0 }),
    modelUsage: spent.modelUsage,
    permission_denials: [],
    fast_mode_state: "off",
    fast_mode_disabled_reason: "sdk_opt_in_required",
    subagent_stats: NO_SUBAGENTS,
    safety_stops: 0,
    result: "",
    local_command: command,
    queued_turn_count: 0,
    result_index: resultIndex,
    model_usage_since_last_result: spent.turnUsage,
    ...echo,
  };
}

function usageFigures(usage: FakeUsage): WireObject {
  return {
    input_tokens: usage.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: usage.outputTokens,
    output_tokens_details: { thinking_tokens: 0 },
    server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
    service_tier: "standard",
    cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
    inference_geo: "",
    iterations: [],
    speed: "standard",
    fallback_credit: null,
  };
}

const NO_SUBAGENTS: WireObject = {
  spawned: 0,
  requested: { background: 0, foreground: 0, unset: 0 },
  started_in_background: 0,
  max_depth: 0,
  spawned_by_subagents: 0,
  completed: 0,
  failed: 0,
  killed: { parent: 0, user: 0, system: 0 },
  refused: { depth_limit: 0, concurrency_limit: 0, budget: 0 },
  by_type: {},
};
