import htm from "htm";

/* Browsers need not parse templates: the build does, by the same parser. */

/** The parser of templates. Its types declare a CommonJS module, but Node.js loads an ES module. */
export const parser: typeof htm.default = "default" in htm ? htm.default : htm;

/** An expression of a template, or the call that makes an element. */
class Code {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Without enumerable properties: what is spread into attributes leaves only what `spreadable` adds. */
  get text(): string {
    return this.#text;
  }
}

/** A node of a syntax tree. */
interface Syntax {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

interface Template extends Syntax {
  readonly tag: { readonly name?: string };
  readonly quasi: {
    readonly quasis: readonly { readonly value: { readonly cooked: string | null } }[];
    readonly expressions: readonly Syntax[];
  };
}

/**
 * Returns a module whose `html` templates are calls of `html(type, attributes, ...children)`, as those of Preact's `h`.
 *
 * @param parse returns the syntax tree of a module
 * @throws Error if an attribute mixes text and expressions: nothing in the page does
 */
export function withoutTemplates(code: string, parse: (code: string) => Syntax): string {
  return codeWithin(code, templatesOf(parse(code)), 0, code.length);
}

/** Returns the outermost templates of a tree. */
function templatesOf(node: unknown): readonly Template[] {
  if (typeof node !== "object" || node === null) return [];
  if (isTemplate(node)) return [node];
  return Object.values(node).flatMap(templatesOf);
}

function isTemplate(node: object): node is Template {
  if (!("type" in node) || node.type !== "TaggedTemplateExpression") return false;
  return (node as Template).tag.name === "html";
}

/** Returns the code of a range with its templates compiled. */
function codeWithin(code: string, templates: readonly Template[], start: number, end: number): string {
  let at = start;
  let made = "";
  for (const template of templates) {
    made += code.slice(at, template.start) + compiled(code, template);
    at = template.end;
  }
  return made + code.slice(at, end);
}

function compiled(code: string, { quasi: { quasis, expressions } }: Template): string {
  const strings = quasis.map(({ value: { cooked } }) => cooked ?? "");
  const values = expressions.map((one) => new Code(`(${codeWithin(code, templatesOf(one), one.start, one.end)})`));
  const make = parser.bind(call);
  const made: unknown = make(Object.assign(strings, { raw: strings }), ...values.map(spreadable));
  return Array.isArray(made) ? `[${made.map((one) => codeOf(one, false)).join()}]` : codeOf(made, false);
}

/** Returns an expression that leaves a trace when it is spread into attributes. */
function spreadable(code: Code): Code {
  return Object.assign(code, { [`...${code.text}`]: code });
}

function call(type: unknown, attributes: object | null, ...children: unknown[]): Code {
  const all = Object.entries(attributes ?? {}).map(([name, value]) =>
    name.startsWith("...") ? name : `${JSON.stringify(name)}:${codeOf(value, true)}`,
  );
  const parts = children.map((child) => codeOf(child, type === "pre"));
  return new Code(`html(${[codeOf(type, true), all.length === 0 ? "null" : `{${all.join()}}`, ...parts].join()})`);
}

/** @param exact whether white space counts */
function codeOf(value: unknown, exact: boolean): string {
  if (value instanceof Code) return value.text;
  if (typeof value === "string" && value.includes("[object ")) throw new Error(`mixed attribute: ${value}`);
  if (typeof value === "string") return JSON.stringify(exact ? value : value.replace(/\s*\n\s*/g, " "));
  return String(value);
}
