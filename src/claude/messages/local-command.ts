import type { SDKMessage, SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";

import { own } from "../../fields.ts";

/** What has been done by commands that say nothing of it. */
const DONE: { readonly [command: string]: string } = {
  compact: "The conversation has been compacted.",
  clear: "The conversation has been cleared.",
};

/** What is answered. Where a command of Claude Code's own has answered in the model's place, and says nothing, that it has been run. */
export function answerOf({
  local_command: command,
  result,
}: Pick<SDKResultSuccess, "local_command" | "result">): string {
  if (command === undefined || result.trim() !== "") return result;
  return own(DONE, command) ?? `${nameOf(command)} has been run.`;
}

/** Claude Code names its commands with `_` in results. */
function nameOf(command: string): string {
  return `/${command.replaceAll("_", "-")}`;
}

/** Whether a command says in this message that it failed, or that there is none such here. The SDK's types leave that out. */
export function commandRefused(message: SDKMessage): boolean {
  if (!("local_command_outcome" in message)) return false;
  const { local_command_outcome: outcome } = message;
  return typeof outcome === "object" && outcome !== null && "kind" in outcome && REFUSALS.has(outcome.kind);
}

const REFUSALS: ReadonlySet<unknown> = new Set(["failed", "unavailable_headless"]);
