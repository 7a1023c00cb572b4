import { type Command, command } from "../../session/options/command.ts";
import type { PromptBlock } from "../../session/options/prompt-block.ts";
import type { PromptCommand, PromptBlock as WireBlock, WirePrompt } from "../../wire/prompt.ts";
import { requireScope } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";

/**
 * Returns a prompt as the library takes it. A text is data, so only an operator may run a command.
 *
 * @throws RequestError `FORBIDDEN`
 */
export function givenPrompt(prompt: WirePrompt, caller: Caller): string | readonly PromptBlock[] | Command {
  if (typeof prompt === "string") return prompt;
  if (isCommand(prompt)) {
    requireScope(caller, "operate");
    return command(prompt.command, prompt.arguments ?? "");
  }
  // The session checks each block when it accepts the prompt.
  return prompt as readonly object[] as readonly PromptBlock[];
}

function isCommand(prompt: readonly WireBlock[] | PromptCommand): prompt is PromptCommand {
  return !Array.isArray(prompt);
}
