import type { Command } from "commander";
import { createProgram } from "../../src/cli/program.ts";
import { EXIT_CODES } from "../../src/cli/terminal/exit-code.ts";
import { code, prose, table } from "./markdown.ts";

const EXAMPLES = "Examples:\n";

/** What the help of more commands than this says, the page says once. */
const SHARED_BY = 5;

/** The commands by group, each with its arguments, options and examples. */
export function commandsPart(): string {
  const program = createProgram();
  const helps = new Map(allOf(program).map((command) => [command, helpOf(command)]));
  const shared = sharedNotes([...helps.values()]);
  const groups = Map.groupBy(program.commands, (command) => command.helpGroup());
  const sections = [...groups].flatMap(([title, commands]) => [
    `## ${title.replace(/:$/, "") || "Shell"}`,
    ...commands.flatMap(allOf).map((command) => commandSection(command, helps.get(command), shared)),
  ]);
  return [...shared.map(prose), ...sections].join("\n\n");
}

/** The exit codes of all commands. */
export function exitCodesPart(): string {
  const rows = Object.values(EXIT_CODES).map(([number, meaning]) => [String(number), prose(meaning)]);
  return table(["exit code", "meaning"], [["0", "success"], ...rows]).trimEnd();
}

/** A command and the commands below it. */
function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}

/** What the help of a command says after its options. */
interface Help {
  readonly notes: readonly string[];
  readonly examples: string;
}

function helpOf(command: Command): Help {
  const written: string[] = [];
  command.configureOutput({ writeOut: (part) => written.push(part) }).outputHelp();
  const paragraphs = written
    .join("")
    .slice(command.helpInformation().length)
    .trim()
    .split(/\n{2,}/);
  const [examples = ""] = paragraphs.filter((paragraph) => paragraph.startsWith(EXAMPLES));
  return {
    notes: paragraphs.filter((paragraph) => paragraph !== examples).flatMap((note) => note.replaceAll("\n", " ") || []),
    examples: examples.slice(EXAMPLES.length).replaceAll(/^ {2}(?:\$ )?/gm, ""),
  };
}

function sharedNotes(helps: readonly Help[]): string[] {
  const counts = Map.groupBy(
    helps.flatMap(({ notes }) => notes),
    (note) => note,
  );
  return [...counts].filter(([, found]) => found.length > SHARED_BY).map(([note]) => note);
}

function commandSection(command: Command, help: Help = { notes: [], examples: "" }, shared: readonly string[]): string {
  const isGroup = command.commands.length > 0;
  const description = command.description();
  const rows = [
    ...command.registeredArguments.map((argument) => {
      const name = argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
      return [code(name), "", prose(described(argument.description, argument.argChoices))];
    }),
    ...command.options.map((option) => [
      code(option.flags),
      option.defaultValue === undefined || option.defaultValue === false || option.negate
        ? ""
        : code(option.defaultValueDescription ?? String(option.defaultValue)),
      prose(described(option.description, option.argChoices)),
    ]),
  ];
  return [
    `### ${code(pathOf(command))}`,
    prose(`${description.charAt(0).toUpperCase()}${description.slice(1)}.`),
    ...help.notes.filter((note) => !shared.includes(note)).map(prose),
    ...(isGroup || rows.length === 0 ? [] : [table(["argument", "default", "meaning"], rows).trimEnd()]),
    ...(help.examples === "" ? [] : [`\`\`\`sh\n${help.examples}\n\`\`\``]),
  ].join("\n\n");
}

function described(description: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? description : `${description}: ${choices.map(code).join(", ")}`;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
