import type { Shape } from "../claude/fingerprint.ts";
import type { SessionSettings } from "./session-settings.ts";

/** All that a process of a session with these settings is started with, apart from the conversation. */
export function shapeOf(settings: SessionSettings): Shape {
  const { sdk, apiKey, inheritEnv, approvalTimeoutMs, autoMemory, ownDirectory, requireMcpServers } = settings;
  const approvals = approvalTimeoutMs !== undefined;
  return { options: sdk, apiKey, inheritEnv, approvals, autoMemory, ownDirectory, requiredServers: requireMcpServers };
}
