import type { SDKMessage, SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";

import { own } from "../../fields.ts";

/** What to say for commands that report nothing. */
const DONE: { readonly [command: string]: string } = {
  compact: "The conversation has been compacted.",
  clear: "The conversation has been cleared.",
};

/** Returns the answer's text. For a built-in command without output, says that it was run. */
export function answerOf({
  local_command: command,
  result,
}: Pick<SDKResultSuccess, "local_command" | "result">): string {
  if (command === undefined || result.trim() !== "") return result;
  return own(DONE, command) ?? `${nameOf(command)} has been run.`;
}

/** Converts a command's name in a result, where Claude Code writes `_`, to the name that users type. */
function nameOf(command: string): string {
  return `/${command.replaceAll("_", "-")}`;
}

/** Whether the message reports that a command failed or does not exist. The SDK's types omit that. */
export function commandRefused(message: SDKMessage): boolean {
  if (!("local_command_outcome" in message)) return false;
  const { local_command_outcome: outcome } = message;
  return typeof outcome === "object" && outcome !== null && "kind" in outcome && REFUSALS.has(outcome.kind);
}

const REFUSALS: ReadonlySet<unknown> = new Set(["failed", "unavailable_headless"]);
