import { REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../../src/claude/sdk-options.ts";
import { formatDuration } from "../../src/duration.ts";
import { effectOf, OPTION_TABLE, type OptionEffect, OWN_OPTIONS } from "../../src/session/options/option-table.ts";
import type { OwnOptions } from "../../src/session/options/options.ts";
import { sessionSettings } from "../../src/session/options/session-settings.ts";
import { Declarations, type Member } from "./declarations.ts";
import { code, prose, table } from "./markdown.ts";

const EFFECTS: { readonly [Effect in OptionEffect]: readonly [brief: string, sentence: string] } = {
  live: ["at once", "A change takes effect at once."],
  process: ["new process", "A change starts another process, with the same conversation."],
  child: ["new child", "A change replaces the child in the tree, with the same conversation."],
};

const declared = new Declarations("src/session/options/options.ts", "src/claude/process-options.ts");
const members: ReadonlyMap<string, Member> = new Map(
  declared.membersOf("OwnOptions").map((member) => [member.name, member]),
);
const names = OWN_OPTIONS.toSorted();

/** The table of Castellan's own options of a session. Each name links to its section. */
export function ownOptionsTable(): string {
  const rows = names.map((name) => {
    const { type } = memberOf(name);
    return [`[${code(name)}](#${name.toLowerCase()})`, code(type), defaultOf(name, type), EFFECTS[effect(name)][0]];
  });
  return table(["option", "type", "default", "change"], rows).trimEnd();
}

/** A section for each of these options, from its doc comment and its row in `OPTION_TABLE`. */
export function ownOptionSections(): string {
  return names
    .map((name) => {
      const { example, forks } = OPTION_TABLE[name];
      const facts = [EFFECTS[effect(name)][1], ...(forks ? [] : ["A fork does not inherit it."])];
      const { doc } = memberOf(name);
      return `### ${code(name)}\n\n${prose(doc)}\n\n${code(`${name}: ${inCode(example)}`)}. ${facts.join(" ")}`;
    })
    .join("\n\n");
}

/** The names of the Agent SDK's options that a session takes, and why it takes no others. */
export function sdkOptionsPart(): string {
  const own: readonly string[] = OWN_OPTIONS;
  const taken = Object.keys(sdkOptionsShape).filter((name) => !own.includes(name) && name !== "outputFormat");
  const refused = Object.entries(REFUSED_SDK_OPTIONS).map(([name, reason]) => [code(name), prose(reason)]);
  return `${taken.map(code).join(", ")}.\n\n${table(["refused", "why"], refused).trimEnd()}`;
}

/** @throws Error if the option has no doc comment */
function memberOf(name: string): Member {
  const member = members.get(name);
  if (member === undefined || member.doc === "") throw new Error(`the option ${name} has no doc comment`);
  return member;
}

/** The default as an application would write it. */
function defaultOf(name: keyof OwnOptions, type: string): string {
  const value: unknown = OPTION_TABLE[name].schema.parse(undefined);
  if (value === undefined) return "";
  return code(inCode(typeof value === "number" && type.includes("Duration") ? formatDuration(value) : value));
}

function effect(name: keyof OwnOptions): OptionEffect {
  const beside: OwnOptions = name === "significant" ? { restart: "transient" } : {};
  const before = sessionSettings({ name: "a", ...beside }, {});
  const after = sessionSettings({ name: "a", ...beside, [name]: OPTION_TABLE[name].example }, {});
  return effectOf(name, before[name], after[name]);
}

/** A plain value in TypeScript syntax. */
function inCode(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inCode).join(", ")}]`;
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${inCode(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}
