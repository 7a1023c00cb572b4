import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { faultOf } from "./failure.ts";

/** What a message says of the API, beyond the turn that it belongs to. */
export type ApiFault =
  /** It does not accept the key; trying again is of no use. */
  | { readonly class: "auth"; readonly message: string; readonly status?: number }
  /** A limit of use is reached. `until` is when it is lifted, in milliseconds since the epoch. */
  | { readonly class: "quota"; readonly until: number };

/**
 * The fault of the API that `message` tells, if it does.
 *
 * Claude Code asks an API that refuses its key ten times, over three minutes, before it says so in a result. It announces
 * each try, and the first announcement is enough.
 */
export function apiFaultOf(message: SDKMessage): ApiFault | undefined {
  if (message.type === "system" && message.subtype === "api_retry") {
    const { error, error_status: status } = message;
    if (faultOf({ error, status: status ?? undefined })?.class !== "auth") return undefined;
    const words = `the API does not accept the key: ${status === null ? "" : `${status} `}${error}`;
    return { class: "auth", message: words, ...(status === null ? {} : { status }) };
  }
  if (message.type === "rate_limit_event") {
    const { status, resetsAt, isUsingOverage, overageInUse, overageStatus } = message.rate_limit_info;
    // Beyond the limit an account may go on at another price.
    const isAllowed = isUsingOverage === true || overageInUse === true || overageStatus?.startsWith("allowed") === true;
    return status === "rejected" && !isAllowed && resetsAt !== undefined
      ? { class: "quota", until: epochMs(resetsAt) }
      : undefined;
  }
  return undefined;
}

/** The API gives times in seconds. */
function epochMs(time: number): number {
  return time < 1e11 ? time * 1000 : time;
}
