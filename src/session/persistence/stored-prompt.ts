import { isDeepStrictEqual } from "node:util";
import type { PromptKind, StoredPromptKind, TurnEntry } from "../../journal/model/turn-entry.ts";
import type { PromptText } from "../options/prompt.ts";
import type { PromptBlock } from "../options/prompt-block.ts";
import { textOf } from "../options/prompt-blocks.ts";
import type { TurnRecord } from "../streams/turn-record.ts";

/** The prompt of a turn, as its row in the journal has it. */
export type StoredPrompt = Pick<TurnEntry, "prompt" | "promptKind">;

/** The prompt of a turn, as the turn has it. */
type HeldPrompt = Pick<TurnRecord, "prompt" | "promptKind" | "promptBlocks">;

/** Returns a prompt in the form that the journal stores. */
export function storedPrompt({ prompt, promptKind, promptBlocks: blocks }: HeldPrompt): StoredPrompt {
  if (blocks !== undefined) return { prompt: JSON.stringify(blocks), promptKind: `${promptKind}_json` };
  return { prompt, ...(promptKind !== "text" && { promptKind }) };
}

/** Returns a prompt from the journal. An unknown kind counts as text. */
export function promptIn({ prompt, promptKind = "text" }: StoredPrompt): PromptText {
  const kind = KINDS[promptKind] ?? "text";
  if (!promptKind.endsWith("_json")) return { text: prompt, kind };
  const blocks = JSON.parse(prompt) as readonly PromptBlock[];
  return { text: textOf(blocks), kind, blocks };
}

/** Whether the turn has this prompt. */
export function isSame({ prompt, promptKind, promptBlocks: blocks }: HeldPrompt, asked: PromptText): boolean {
  return prompt === asked.text && promptKind === asked.kind && isDeepStrictEqual(blocks, asked.blocks);
}

/** Whether the journal's turn has this prompt. */
export function isOf(stored: StoredPrompt, held: HeldPrompt): boolean {
  const { prompt, promptKind = "text" } = storedPrompt(held);
  return stored.prompt === prompt && (stored.promptKind ?? "text") === promptKind;
}

const KINDS: { readonly [Stored in StoredPromptKind]: PromptKind } & { readonly [kind: string]: PromptKind } = {
  text: "text",
  text_json: "text",
  command: "command",
  command_json: "command",
  typed: "typed",
  typed_json: "typed",
};
