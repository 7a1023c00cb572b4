import { expect, test } from "vitest";
import { parseAst } from "vitest/node";
import { parser, withoutTemplates } from "../../scripts/page-templates.ts";

const h = (type: unknown, attributes: object | null, ...children: unknown[]): object => ({
  type,
  attributes,
  children,
});
const html = parser.bind(h);
const values = { html, a: "x", b: [1, 2], c: undefined, f: () => null, more: { title: "t", text: "u" } };

/** Returns what code makes with templates that a browser parses, and what it makes when the build has parsed them. */
function bothOf(code: string): readonly [parsed: unknown, compiled: unknown] {
  const compiled = withoutTemplates(code, (text) => parseAst(text));
  expect(compiled).not.toContain("html`");
  const run = (text: string, make: unknown): unknown =>
    new Function(...Object.keys(values), `return (${text});`)(...Object.values({ ...values, html: make }));
  return [run(code, html), run(compiled, h)];
}

// `#{` stands for `${`, which the linter allows in templates only.
test.each([
  "html`<p>text</p>`",
  'html`<p class="a" title=#{a} disabled hidden=#{c}>#{a} and #{b}</p>`',
  "html`\n  <p>one</p>\n  #{b.map((n) => html`<i key=#{n}>#{n}</i>`)}\n`",
  "html`<p>\n  <b>#{a}</b> <i>#{a}</i>\n  #{c && html`<u />`}\n</p>`",
  'html`<#{f} ...#{more} text="own" /><#{f} text="own" ...#{more}>in<//>`',
  "html`<pre>\n a\n  b\n#{a}\n</pre>`",
  "html`#{b}`",
  "html`only text`",
  "[html`<input />`, b.length > 1 ? html`<a>#{(1, a)}</a>` : null]",
  'html`<p title="a > b">"q" \\u202e</p>`',
])("a template that the build has parsed makes the same: %s", (template) => {
  const code = template.replaceAll("#{", "${");
  const [parsed, compiled] = bothOf(code);
  expect(compiled).toEqual(parsed);
});

test("a line break in a text is a space, and stays in preformatted text", () => {
  expect(withoutTemplates("html`<p>a\n   b</p>`", (text) => parseAst(text))).toBe('html("p",null,"a b")');
  expect(withoutTemplates("html`<pre>a\n   b</pre>`", (text) => parseAst(text))).toBe('html("pre",null,"a\\n   b")');
});

test("text and an expression in one attribute are refused", () => {
  expect(() => withoutTemplates('html`<p class="a #{b}"></p>`'.replace("#", "$"), (text) => parseAst(text))).toThrow(
    "mixed attribute",
  );
});
