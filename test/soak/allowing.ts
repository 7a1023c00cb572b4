import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";

/** Returns an update that allows a command for the session. */
export function allowCommand(ruleContent: string): PermissionUpdate {
  return { type: "addRules", rules: [{ toolName: "Bash", ruleContent }], behavior: "allow", destination: "session" };
}
