import type { PromptKind } from "../../journal/model/turn-entry.ts";
import { type Command, type CommandCall, commandCallOf, commandText, mentionIn, typedCommand } from "./command.ts";
import { invalidOptions } from "./validation.ts";

/** A session's input: text, or a command of Claude Code, see {@link command}. */
export type Prompt = string | Command;

/** A prompt in the form that its turn stores. */
export interface PromptText {
  /** For a command, the line that Claude Code accepts. */
  readonly text: string;
  readonly kind: PromptKind;
}

/** The longest prompt, in characters. The API accepts requests up to 32 MB; models read less. */
const LONGEST_PROMPT = 20_000_000;

/**
 * Returns the text and the command of a prompt without checking what the text contains.
 *
 * @throws CastellanError `INVALID_OPTIONS` if it is not a prompt
 */
export function readPrompt(
  prompt: unknown,
  who: string,
): { readonly text: string; readonly command: CommandCall | undefined } {
  const command = commandCallOf(prompt);
  return { text: checked(command === undefined ? prompt : commandText(command), who), command };
}

/**
 * Returns the text of a prompt and how Claude Code is to treat it.
 *
 * @param verbatim whether to treat the prompt as plain text, whatever it contains
 * @throws CastellanError `INVALID_OPTIONS` if it is not a prompt, or uses a feature that prompts may not use
 */
export function promptText(prompt: unknown, verbatim: boolean, who: string): PromptText {
  const { text, command: call } = readPrompt(prompt, who);
  if (call === undefined && verbatim) return { text, kind: "text" };
  const name = call?.name ?? typedCommand(text);
  const controlled = name === undefined ? undefined : controlledCommand(name);
  if (controlled !== undefined) throw refused(who, controlled);
  if (call === undefined) return { text, kind: "typed" };
  const mention = verbatim ? mentionIn(call.args) : undefined;
  if (mention !== undefined) {
    const why = `the arguments of \`/${call.name}\` contain ${JSON.stringify(mention)}, which Claude Code would expand to a file, a resource or an agent`;
    throw refused(who, `${why}; if you trust them, set \`verbatimPrompts: false\``);
  }
  return { text, kind: "command" };
}

/** Returns a text prompt that is neither empty nor too long. @throws CastellanError `INVALID_OPTIONS` */
function checked(prompt: unknown, who: string): string {
  if (typeof prompt !== "string") {
    const given = prompt === null ? "null" : Array.isArray(prompt) ? "an array" : `a value of type ${typeof prompt}`;
    throw refused(who, `expected text; got ${given}`);
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
