import ts from "typescript-6";
import { effectOf, OPTION_TABLE, type OptionEffect, OWN_OPTIONS } from "../src/session/options/option-table.ts";
import type { OwnOptions } from "../src/session/options/options.ts";
import { sessionSettings } from "../src/session/options/session-settings.ts";
import { textOf } from "./guide.ts";

/** The path of the options page, relative to the root of the repository. */
export const OPTIONS_PAGE = "docs/guide/options.md";

const SOURCES = ["src/session/options/options.ts", "src/claude/process-options.ts"];

const EFFECTS: { readonly [Effect in OptionEffect]: string } = {
  live: "A change takes effect at once.",
  process: "A change starts another process, with the same conversation.",
  child: "A change replaces the child in the tree, with the same conversation.",
};

/** Generates the page from the doc comments of the options and from `OPTION_TABLE`. @throws Error if an option has no doc comment */
export function optionsPage(): string {
  const docs = new Map(SOURCES.flatMap(docsIn));
  const sections = OWN_OPTIONS.toSorted().map((name) => {
    const doc = docs.get(name);
    if (doc === undefined) throw new Error(`the option ${name} has no doc comment`);
    const { example, forks } = OPTION_TABLE[name];
    const facts = [EFFECTS[effect(name)], ...(forks ? [] : ["A fork does not inherit it."])];
    return `## \`${name}\`\n\n${doc}\n\n\`${name}: ${inCode(example)}\`. ${facts.join(" ")}\n`;
  });
  return `${HEAD}\n${sections.join("\n")}`;
}

const HEAD = `# Options of a session

<!-- \`npm run docs:sync\` writes this page. -->

Sessions take the options of the Agent SDK under the SDK's names. This page lists the options that Castellan adds. A session also
needs a \`name\`, and takes a \`signal\` whose abort ends the session. Durations are milliseconds, or strings such as \`"30s"\`. Each
section ends with the effect of changing the option by [\`reconcile\`](management.md#changing-the-whole-tree) or in a configuration file.
`;

function effect(name: keyof OwnOptions): OptionEffect {
  const beside: OwnOptions = name === "significant" ? { restart: "transient" } : {};
  const before = sessionSettings({ name: "a", ...beside }, {});
  const after = sessionSettings({ name: "a", ...beside, [name]: OPTION_TABLE[name].example }, {});
  return effectOf(name, before[name], after[name]);
}

/** The doc comment of each interface member in a file, on one line. */
function docsIn(file: string): [string, string][] {
  const source = ts.createSourceFile(file, textOf(file), ts.ScriptTarget.Latest, true);
  return source.statements.filter(ts.isInterfaceDeclaration).flatMap(({ members }) =>
    members.flatMap((member): [string, string][] => {
      const [doc] = ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc);
      const text = ts.getTextOfJSDocComment(doc?.comment);
      return text === undefined ? [] : [[member.name?.getText() ?? "", text.replaceAll(/\s+/g, " ")]];
    }),
  );
}

/** A plain value in TypeScript syntax. */
function inCode(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inCode).join(", ")}]`;
  return `{ ${Object.entries(value)
    .map(([name, field]) => `${name}: ${inCode(field)}`)
    .join(", ")} }`;
}
