import type { PromptKind } from "../../journal/model/turn-entry.ts";
import { type Command, type CommandCall, commandCallOf, commandText, mentionIn, typedCommand } from "./command.ts";
import type { PromptBlock } from "./prompt-block.ts";
import { checkBlocks, LONGEST_PROMPT, textOf } from "./prompt-blocks.ts";
import { invalidOptions } from "./validation.ts";

/**
 * A session's input: text, content blocks as in the Messages API, or a command of Claude Code, see {@link command}. It may
 * have 20 million characters, base64 included.
 */
export type Prompt = string | readonly PromptBlock[] | Command;

/** A prompt in the form that its turn has. */
export interface PromptText {
  /** For a command, the line that Claude Code accepts; for blocks, their texts. */
  readonly text: string;
  readonly kind: PromptKind;
  /** Frozen. Left out if the prompt is a text or a command. */
  readonly blocks?: readonly PromptBlock[];
}

/** A prompt of the right form. */
interface ReadPrompt extends Omit<PromptText, "kind"> {
  readonly command: CommandCall | undefined;
}

/**
 * Returns the parts of a prompt without checking what its text contains.
 *
 * @throws CastellanError `INVALID_OPTIONS` if it is not a prompt. Names the block, if one is invalid
 */
export function readPrompt(prompt: unknown, who: string): ReadPrompt {
  if (Array.isArray(prompt)) {
    const checked = checkBlocks(prompt);
    if ("problems" in checked) throw invalidOptions(`turn of ${who}`, checked.problems);
    return { text: textOf(checked.blocks), command: undefined, blocks: checked.blocks };
  }
  const command = commandCallOf(prompt);
  return { text: checkedText(command === undefined ? prompt : commandText(command), who), command };
}

/**
 * Returns the text of a prompt and how Claude Code is to treat it.
 *
 * @param verbatim whether to treat the prompt as plain text, whatever it contains
 * @throws CastellanError `INVALID_OPTIONS` if it is not a prompt, or uses a feature that prompts may not use
 */
export function promptText(prompt: unknown, verbatim: boolean, who: string): PromptText {
  const { command: call, ...content } = readPrompt(prompt, who);
  const { text } = content;
  if (call === undefined && verbatim) return { ...content, kind: "text" };
  const name = call?.name ?? typedCommand(typedText(content));
  const controlled = name === undefined ? undefined : controlledCommand(name);
  if (controlled !== undefined) throw refused(who, controlled);
  if (call === undefined) return { ...content, kind: "typed" };
  const mention = verbatim ? mentionIn(call.args) : undefined;
  if (mention !== undefined) {
    const why = `the arguments of \`/${call.name}\` contain ${JSON.stringify(mention)}, which Claude Code would expand to a file, a resource or an agent`;
    throw refused(who, `${why}; if you trust them, set \`verbatimPrompts: false\``);
  }
  return { text, kind: "command" };
}

/** Returns the part of a prompt in which Claude Code looks for commands and files: the last block, if it is a text. */
function typedText({ text, blocks }: Pick<PromptText, "text" | "blocks">): string {
  if (blocks === undefined) return text;
  const last = blocks.at(-1);
  return last?.type === "text" ? last.text : "";
}

/** Returns a text prompt that is neither empty nor too long. @throws CastellanError `INVALID_OPTIONS` */
function checkedText(prompt: unknown, who: string): string {
  if (typeof prompt !== "string") {
    const given = prompt === null ? "null" : `a value of type ${typeof prompt}`;
    throw refused(who, `expected text, or an array of content blocks; got ${given}`);
  }
  // Check the length first: reading the characters of a concatenated string copies it.
  if (prompt.length > LONGEST_PROMPT) {
    throw refused(who, `has ${prompt.length} characters; at most ${LONGEST_PROMPT} are allowed`);
  }
  if (prompt.trim() === "") throw refused(who, "is empty");
  return prompt;
}

function refused(who: string, message: string): Error {
  return invalidOptions(`turn of ${who}`, [{ field: "prompt", message }]);
}

/** A command of Claude Code that changes something Castellan controls: what it changes, and what to do instead. */
interface Controlled {
  readonly changes: string;
  readonly instead: string;
}

/** Outlives all sessions, and other sessions read it. */
const SETTINGS_FILE = "the settings file that all sessions with the same CLAUDE_CONFIG_DIR share";

/** Ends with the process; `status()` would not show the change. */
const THIS_PROCESS = "only this process; neither `status()` nor the next process would know";

const SETTINGS: Controlled = {
  changes: SETTINGS_FILE,
  instead: "set it with the session's options, such as `permissionMode` and `settings`",
};

/**
 * The commands, by name and alias, after which Castellan's options and status would be wrong. `/clear` is not among
 * them: the session follows it.
 */
const CONTROLLED: { readonly [name: string]: Controlled } = {
  model: { changes: THIS_PROCESS, instead: "call `setModel()`" },
  effort: { changes: THIS_PROCESS, instead: "set the session's option `effort`" },
  fast: { changes: SETTINGS_FILE, instead: "set `fastMode` in the session's option `settings`" },
  mcp: { changes: THIS_PROCESS, instead: "call `toggleMcpServer()` or `reconnectMcpServer()`" },
  config: SETTINGS,
  settings: SETTINGS,
  autocompact: SETTINGS,
  "output-style": { changes: SETTINGS_FILE, instead: "set `outputStyle` in the session's option `settings`" },
};

/** Returns why Castellan refuses to pass the command to Claude Code, or undefined if it passes it. */
export function controlledCommand(name: string): string | undefined {
  const found = Object.hasOwn(CONTROLLED, name) ? CONTROLLED[name] : undefined;
  return found === undefined ? undefined : `\`/${name}\` changes ${found.changes}; ${found.instead}`;
}
