import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/**
 * The options with the variables that inline settings set in `env`: settings stand on the command line, which every user of the
 * machine can read, and the environment of a process only its own user. Claude Code takes both alike, unless there are settings of
 * files, which count for more than the environment; then they stay where they are.
 */
export function withVariablesOfSettings(sdk: SdkOptions): SdkOptions {
  const { settings, settingSources = [] } = sdk;
  if (typeof settings !== "object" || settingSources.length > 0) return sdk;
  const { env: variables, ...others } = settings;
  if (!areVariables(variables)) return sdk;
  const moved = { ...sdk, env: { ...sdk.env, ...variables } };
  if (Object.keys(others).length > 0) return { ...moved, settings: others };
  const { settings: _, ...without } = moved;
  return without;
}

function areVariables(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((part) => typeof part === "string");
}
