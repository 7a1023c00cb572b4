import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { faultOf } from "./failure.ts";

/** What a message reveals about the API, beyond its own turn. */
export type ApiFault =
  /** The API rejects the key; retrying is useless. */
  | { readonly class: "auth"; readonly message: string; readonly status?: number }
  /** A usage limit is reached. `until` is when it is lifted, in milliseconds since the epoch. */
  | { readonly class: "quota"; readonly until: number };

/**
 * Returns the API fault that `message` reports, or undefined.
 *
 * When the API rejects a key, Claude Code retries ten times over three minutes before a result says so. It announces
 * each retry, and the first announcement suffices.
 */
export function apiFaultOf(message: SDKMessage): ApiFault | undefined {
  if (message.type === "system" && message.subtype === "api_retry") {
    const { error, error_status: status } = message;
    if (faultOf({ error, status: status ?? undefined })?.class !== "auth") return undefined;
    const words = `the API rejects the key: ${status === null ? "" : `${status} `}${error}`;
    return { class: "auth", message: words, ...(status === null ? {} : { status }) };
  }
  if (message.type === "rate_limit_event") {
    const { status, resetsAt, isUsingOverage, overageInUse, overageStatus } = message.rate_limit_info;
    // Beyond its limit, an account may continue at another price.
    const isAllowed = isUsingOverage === true || overageInUse === true || overageStatus?.startsWith("allowed") === true;
    return status === "rejected" && !isAllowed && resetsAt !== undefined
      ? { class: "quota", until: epochMs(resetsAt) }
      : undefined;
  }
  return undefined;
}

/** Converts the API's seconds to milliseconds. */
function epochMs(time: number): number {
  return time < 1e11 ? time * 1000 : time;
}
