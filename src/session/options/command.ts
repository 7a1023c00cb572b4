import { invalidOptions } from "./validation.ts";

/**
 * The key of the command in a prompt. Registered globally, so that all copies of this package share it; a symbol, so
 * that JSON from a web page cannot contain it.
 */
const COMMAND: unique symbol = Symbol.for("castellan.command.1");

/** A command or skill of Claude Code as a prompt; see {@link command}. */
export interface Command {
  readonly [COMMAND]: {
    /** Without the slash. */
    readonly name: string;
    readonly args: string;
  };
}

/** The command to run and its arguments. */
export type CommandCall = Command[typeof COMMAND];

/**
 * Makes a prompt that runs a command or skill of Claude Code, for `query`, `stream` and similar calls. The command may
 * be built in, or come from a skill, a plugin, a file in `.claude/commands`, or an MCP server
 * (`mcp__<server>__<prompt>`). A turn fails with `COMMAND_NOT_FOUND` if the process does not know the name;
 * `session.supportedCommands()` lists the known ones.
 *
 * Arguments are plain text. An argument in which Claude Code would expand a word that begins with `@` into a file or an
 * agent is refused, unless the turn or its session sets `verbatimPrompts: false`. The command itself decides how to use
 * its arguments. Commands that change what Castellan controls, such as `/model`, are refused; the error names the
 * method to call instead.
 *
 * @param name with or without the slash
 * @param args everything after the name
 * @throws CastellanError `INVALID_OPTIONS` if `args` is not a string, or `name` is not a valid command name
 * @example
 * const { text } = await query("reviewer", command("security-review"));
 * await session("assistant").stream(command("greet", "Ada")).result();
 */
export function command(name: string, args = ""): Command {
  const problem = nameProblem(name);
  if (problem !== undefined) throw invalidOptions("command", [{ field: "name", message: problem }]);
  if (typeof args !== "string") {
    throw invalidOptions("command", [{ field: "args", message: `expected text; got a value of type ${typeof args}` }]);
  }
  return { [COMMAND]: { name: name.replace(/^\//, ""), args } };
}

/** Returns the command and arguments of a prompt that is a command, or undefined. */
export function commandCallOf(prompt: unknown): CommandCall | undefined {
  return isCommand(prompt) ? prompt[COMMAND] : undefined;
}

/** Formats the call as the line that Claude Code accepts. */
export function commandText({ name, args }: CommandCall): string {
  return args.trim() === "" ? `/${name}` : `/${name} ${args}`;
}

/** Returns the name of the command that Claude Code would run for `text`, or undefined. */
export function typedCommand(text: string): string | undefined {
  return /^\/(\S+)/.exec(text)?.[1];
}

/**
 * Returns the first word of `args` that Claude Code might expand into a file, a resource or an agent, or undefined.
 * Claude Code expands words that begin with `@`, also after removing quotes. An `@` inside a word, as in an email
 * address, is not expanded.
 */
export function mentionIn(args: string): string | undefined {
  return /(?<![\p{L}\p{N}._%+-])@\S+/u.exec(args)?.[0];
}

function isCommand(value: unknown): value is Command {
  return typeof value === "object" && value !== null && COMMAND in value;
}

function nameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return `expected the name of a command; got a value of type ${typeof name}`;
  return /^\/?[^\s/]\S*$/.test(name) ? undefined : `expected a name without spaces; got ${JSON.stringify(name)}`;
}
