import type { PromptKind } from "../../journal/model/turn-entry.ts";
import { type Command, type CommandCall, commandCallOf, commandText, mentionIn, typedCommand } from "./command.ts";
import { invalidOptions } from "./validation.ts";

/** What a session is asked: text, or a command of Claude Code, see {@link command}. */
export type Prompt = string | Command;

/** A prompt as its turn has it. */
export interface PromptText {
  /** Of a command the line that Claude Code takes. */
  readonly text: string;
  readonly kind: PromptKind;
}

/** The longest prompt, in characters. The API takes 32 MB in one request; what a model can read is less. */
const LONGEST_PROMPT = 20_000_000;

/** What a prompt says, before it is known how it is to be taken. @throws CastellanError `INVALID_OPTIONS` if it is none */
export function readPrompt(
  prompt: unknown,
  who: string,
): { readonly text: string; readonly command: CommandCall | undefined } {
  const command = commandCallOf(prompt);
  return { text: checked(command === undefined ? prompt : commandText(command), who), command };
}

/**
 * What a prompt says, and how Claude Code is to take it.
 *
 * @param verbatim whether what stands in it is text, whatever it looks like
 * @throws CastellanError `INVALID_OPTIONS` if it is no prompt, or would do what a prompt may not
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
    const why = `the arguments of \`/${call.name}\` have ${JSON.stringify(mention)}, for which Claude Code would look for a file, a resource or an agent`;
    throw refused(who, `${why}; where they are to be trusted, ask with \`verbatimPrompts: false\``);
  }
  return { text, kind: "command" };
}

/** A prompt that is text, and neither empty nor too long. @throws CastellanError `INVALID_OPTIONS` */
function checked(prompt: unknown, who: string): string {
  if (typeof prompt !== "string") {
    const given = prompt === null ? "null" : Array.isArray(prompt) ? "an array" : `a value of type ${typeof prompt}`;
    throw refused(who, `expected text; given was ${given}`);
  }
  // Before anything looks at its characters, for which a text that was put together of many is copied.
  if (prompt.length > LONGEST_PROMPT) {
    throw refused(who, `has ${prompt.length} characters; at most ${LONGEST_PROMPT} are allowed`);
  }
  if (prompt.trim() === "") throw refused(who, "is empty");
  return prompt;
}

function refused(who: string, message: string): Error {
  return invalidOptions(`turn of ${who}`, [{ field: "prompt", message }]);
}

/** What a command of Claude Code's own would change past Castellan, and how it is changed instead. */
interface Controlled {
  readonly changes: string;
  readonly instead: string;
}

/** Writes a file that other sessions read, too, and that outlives all of them. */
const SETTINGS_FILE = "the settings file that all sessions with the same CLAUDE_CONFIG_DIR share";

/** Ends with the process, and `status()` would not show it. */
const THIS_PROCESS = "this process only, which neither `status()` nor the next process would know";

const SETTINGS: Controlled = {
  changes: SETTINGS_FILE,
  instead: "set it with the session's options, such as `permissionMode` and `settings`",
};

/**
 * The commands of Claude Code, by name and alias, after which Castellan's options, and what it shows, would be wrong. Not among
 * them is `/clear`, which the session follows.
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

/** Why Castellan does not hand the command to Claude Code, if that is so. */
export function controlledCommand(name: string): string | undefined {
  const found = Object.hasOwn(CONTROLLED, name) ? CONTROLLED[name] : undefined;
  return found === undefined ? undefined : `\`/${name}\` changes ${found.changes}; ${found.instead}`;
}
