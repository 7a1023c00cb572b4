import type { Query, Options as SdkOptions, Settings } from "@anthropic-ai/claude-agent-sdk";

/**
 * The number of days after which Claude Code may delete any unused conversation with all its files, whoever owns it.
 * Its default is 30. Sessions may hibernate for longer, and applications erase them explicitly.
 */
const KEPT: Settings = { cleanupPeriodDays: 36_500 };

/**
 * Returns settings that keep conversations from being deleted: `settings` with the retention period. Claude Code only
 * deletes conversations if it reads the machine's settings. Settings in a file or as text stay as they are, see
 * `keepConversations`.
 */
export function keepingConversations({ settings, settingSources, extraArgs }: SdkOptions): SdkOptions["settings"] {
  const reads = (settingSources?.length ?? 0) > 0 || extraArgs?.["setting-sources"] !== undefined;
  return reads && typeof settings !== "string" ? { ...settings, ...KEPT } : settings;
}

/**
 * Keeps a process whose settings are in a file or text from deleting conversations. Call it directly after the start.
 */
export async function keepConversations(sdk: Query, { settings }: SdkOptions): Promise<void> {
  if (typeof settings === "string") await sdk.applyFlagSettings(KEPT);
}
