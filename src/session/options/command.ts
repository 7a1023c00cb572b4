import { invalidOptions } from "./validation.ts";

/** By what such a prompt is known, also to another copy of this package. No JSON that a web page sends can hold it. */
const COMMAND: unique symbol = Symbol.for("castellan.command.1");

/** A command or skill of Claude Code as a prompt; made by {@link command}. */
export interface Command {
  readonly [COMMAND]: {
    /** Without the slash. */
    readonly name: string;
    readonly args: string;
  };
}

/** Which command is to be run, and with what. */
export type CommandCall = Command[typeof COMMAND];

/**
 * A command or skill of Claude Code as a prompt, for `query`, `stream` and their like: one of Claude Code's own, of a skill, a
 * plugin, a file in `.claude/commands`, or `mcp__<server>__<prompt>` of an MCP server. A turn with a name that the process does
 * not know fails with `COMMAND_NOT_FOUND`; `session.supportedCommands()` lists them.
 *
 * Arguments are text: those in which Claude Code would read in a file, or call an agent, because of an `@` at the beginning of a
 * word, are refused, unless the turn or its session has `verbatimPrompts: false`. What the command does with its arguments is its
 * own affair. Commands that would change what Castellan controls, such as `/model`, are refused; the error names the method that
 * does it.
 *
 * @param name with or without the slash
 * @param args all that stands behind the name
 * @throws CastellanError `INVALID_OPTIONS` if one of them is no text, or the name cannot be one
 * @example
 * const { text } = await query("reviewer", command("security-review"));
 * await session("assistant").stream(command("greet", "Ada")).result();
 */
export function command(name: string, args = ""): Command {
  const problem = nameProblem(name);
  if (problem !== undefined) throw invalidOptions("command", [{ field: "name", message: problem }]);
  if (typeof args !== "string") {
    throw invalidOptions("command", [
      { field: "args", message: `expected text; given was a value of type ${typeof args}` },
    ]);
  }
  return { [COMMAND]: { name: name.replace(/^\//, ""), args } };
}

/** The call behind a prompt, if it is a command. */
export function commandCallOf(prompt: unknown): CommandCall | undefined {
  return isCommand(prompt) ? prompt[COMMAND] : undefined;
}

/** The call as Claude Code takes it. */
export function commandText({ name, args }: CommandCall): string {
  return args.trim() === "" ? `/${name}` : `/${name} ${args}`;
}

/** The name of the command that Claude Code would run, if `text` were typed to it. */
export function typedCommand(text: string): string | undefined {
  return /^\/(\S+)/.exec(text)?.[1];
}

/**
 * The first word of `args` that Claude Code might take for a file, a resource or an agent to bring in. It does so with what
 * begins with an `@`, also after quotes are taken away; only an `@` within a word, as in an address, is none.
 */
export function mentionIn(args: string): string | undefined {
  return /(?<![\p{L}\p{N}._%+-])@\S+/u.exec(args)?.[0];
}

function isCommand(value: unknown): value is Command {
  return typeof value === "object" && value !== null && COMMAND in value;
}

function nameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return `expected the name of a command; given was a value of type ${typeof name}`;
  return /^\/?[^\s/]\S*$/.test(name) ? undefined : `expected a name without spaces; given was ${JSON.stringify(name)}`;
}
