import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** How long to hold a tool back, in seconds. After that, Claude Code starts it anyway. */
const LIMIT_SECONDS = 3_600;

/**
 * Adds a hook to the options that is awaited before each tool starts. Claude Code starts a tool as soon as it knows the
 * input, which can be before a message reports it, and long before the transcript does. Shell commands in a skill's
 * text are not tools to Claude Code: they run while it reads the skill, and have a hook of their own.
 */
export function beforeTools(options: SdkOptions, called: () => Promise<void>): SdkOptions {
  const { hooks = {} } = options;
  const hook = async (): Promise<Record<string, never>> => {
    await called();
    return {};
  };
  const first = { hooks: [hook], timeout: LIMIT_SECONDS };
  return {
    ...options,
    hooks: {
      ...hooks,
      PreToolUse: [first, ...(hooks.PreToolUse ?? [])],
      PreSkillShellCommand: [first, ...(hooks.PreSkillShellCommand ?? [])],
    },
  };
}
