import type { Query, Options as SdkOptions, Settings } from "@anthropic-ai/claude-agent-sdk";

/**
 * After how many days Claude Code may delete a conversation in which nothing has been said since, with all that belongs to it, of
 * whoever's session it is. Its own choice is 30. A session may sleep for longer, and is erased by those who ask for that.
 */
const KEPT: Settings = { cleanupPeriodDays: 36_500 };

/**
 * The settings of a process that has to delete no conversations: `settings`, and how long those are kept. It deletes none by itself
 * unless it reads settings of the machine. Those in a file or a text are left as they are, see `keepConversations`.
 */
export function keepingConversations({ settings, settingSources, extraArgs }: SdkOptions): SdkOptions["settings"] {
  const reads = (settingSources?.length ?? 0) > 0 || extraArgs?.["setting-sources"] !== undefined;
  return reads && typeof settings !== "string" ? { ...settings, ...KEPT } : settings;
}

/** Has a process that was started with settings in a file, or a text, delete no conversations whatever they say. To be called at once after its start. */
export async function keepConversations(sdk: Query, { settings }: SdkOptions): Promise<void> {
  if (typeof settings === "string") await sdk.applyFlagSettings(KEPT);
}
