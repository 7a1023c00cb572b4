import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** How long a tool may be held back, in seconds; after that Claude Code starts it all the same. */
const LIMIT_SECONDS = 3_600;

/**
 * The options with a hook that is asked, and waited for, before each tool is started. Claude Code starts a tool as soon as it
 * knows what to start it with, which can be before a message tells of it, and long before the transcript does. The shell
 * commands in the text of a skill are no tools to it: they run while it reads the skill, and have a hook of their own.
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
