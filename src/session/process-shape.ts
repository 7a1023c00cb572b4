import type { Shape } from "../claude/fingerprint.ts";
import type { SessionSettings } from "./session-settings.ts";

/** All that a process of a session with these settings is started with, apart from the conversation. */
export function shapeOf({ sdk, apiKey, inheritEnv, approvalTimeoutMs }: SessionSettings): Shape {
  return { options: sdk, apiKey, inheritEnv, approvals: approvalTimeoutMs !== undefined };
}
