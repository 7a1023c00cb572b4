import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Block, GrowingMarkdown, markdownOf } from "../../src/page/store/markdown.ts";
import { type Inline, inlineOf, safeAddress, unsaidTarget } from "../../src/page/store/markdown-inline.ts";

const paragraph = (...content: Inline[]): Block => ({ kind: "paragraph", content });
const line = (...content: Inline[]): Block => ({ kind: "line", content });
const link = (href: string, ...content: Inline[]): Inline => ({ kind: "link", href, image: false, content });
const list = (...items: Block[][]): Block => ({
  kind: "list",
  start: undefined,
  items: items.map((blocks) => ({ checked: undefined, blocks })),
});

describe("the blocks of a Markdown text", () => {
  test("headings, rules and paragraphs", () => {
    expect(markdownOf("# A *b* #\ntext\n\n### C\nTitle\n===\n---\n#no")).toEqual([
      { kind: "heading", level: 1, content: ["A ", { kind: "em", content: ["b"] }] },
      paragraph("text"),
      { kind: "heading", level: 3, content: ["C"] },
      { kind: "heading", level: 1, content: ["Title"] },
      { kind: "rule" },
      paragraph("#no"),
    ]);
  });

  test("lists: nested, loose, numbered, of tasks, and with code", () => {
    expect(markdownOf("- a\n  - b\n    c\n- d\n\nafter")).toEqual([
      list([line("a"), list([line("b\nc")])], [line("d")]),
      paragraph("after"),
    ]);
    expect(markdownOf("* a\n\n* b")).toEqual([list([paragraph("a")], [paragraph("b")])]);
    expect(markdownOf("3. a\n4. b\n\n1) c")).toMatchObject([
      { start: 3, items: [{}, {}] },
      { start: 1, items: [{}] },
    ]);
    expect(markdownOf("- [ ] a\n- [x] b\n- [X] c")).toMatchObject([
      { items: [{ checked: false, blocks: [line("a")] }, { checked: true }, { checked: true }] },
    ]);
    expect(markdownOf("1. a\n   ```js\n   x\n   ```\n2. b")).toMatchObject([
      { items: [{ blocks: [line("a"), { kind: "code", language: "js", text: "x" }] }, { blocks: [line("b")] }] },
    ]);
    expect(markdownOf("a\n- b\n2020. was a year")).toMatchObject([paragraph("a"), { kind: "list" }, { kind: "list" }]);
  });

  test("code: fenced, indented, and a fence that is still open", () => {
    expect(markdownOf("````md\n```\nx\n```\n````\ny")).toEqual([
      { kind: "code", language: "md", text: "```\nx\n```" },
      paragraph("y"),
    ]);
    expect(markdownOf("a\n\n\tx\n\n\t\ty\n")).toEqual([
      paragraph("a"),
      { kind: "code", language: "", text: "x\n\n    y" },
    ]);
    expect(markdownOf("~~~\n# open\n**")).toEqual([{ kind: "code", language: "", text: "# open\n**" }]);
  });

  test("tables, with alignment, bars in cells, and rows of another length", () => {
    expect(markdownOf("| a | b |\n|:-:|--:|\n| `x\\|y` |\n1|2|3\n\nafter")).toEqual([
      {
        kind: "table",
        align: ["center", "right"],
        head: [["a"], ["b"]],
        rows: [
          [[{ kind: "code", text: "x|y" }], []],
          [["1"], ["2"]],
        ],
      },
      paragraph("after"),
    ]);
    expect(markdownOf("a | b\n- | - | -")).toMatchObject([paragraph("a | b"), { kind: "list" }]);
  });

  test("quotes, with lines that go on without a mark", () => {
    expect(markdownOf("> a\nb\n>> c\n\nd")).toEqual([
      { kind: "quote", blocks: [paragraph("a\nb"), { kind: "quote", blocks: [paragraph("c")] }] },
      paragraph("d"),
    ]);
  });
});

describe("the parts of a line", () => {
  test.each<[string, Inline[]]>([
    ["snake_case_name and 2 * 3 * 4", ["snake_case_name and 2 * 3 * 4"]],
    ["a **b", ["a **b"]],
    ["**a *b* c**", [{ kind: "strong", content: ["a ", { kind: "em", content: ["b"] }, " c"] }]],
    [
      "***a*** ~~b~~ ~c~",
      [{ kind: "em", content: [{ kind: "strong", content: ["a"] }] }, " ", { kind: "del", content: ["b"] }, " ~c~"],
    ],
    ["`a``b` `` c`d ``", [{ kind: "code", text: "a``b" }, " ", { kind: "code", text: "c`d" }]],
    ["a\\*b\\n &amp; &lt;b&gt; &#x202e;", ["a*b\\n & <b> &#x202e;"]],
    ["one  \ntwo\\\nthree\nfour", ["one", { kind: "break" }, "two", { kind: "break" }, "three\nfour"]],
    ['[a `b`](https://x.y/z "t")', [link("https://x.y/z", "a ", { kind: "code", text: "b" })]],
    [
      "<https://a.b> (https://a.b/c_d_e). www.a.b/x(y)!",
      [
        link("https://a.b/", "https://a.b"),
        " (",
        link("https://a.b/c_d_e", "https://a.b/c_d_e"),
        "). ",
        link("http://www.a.b/x(y)", "www.a.b/x(y)"),
        "!",
      ],
    ],
    ["![a](https://a.b/c.png)", [{ kind: "link", href: "https://a.b/c.png", image: true, content: ["a"] }]],
    ["[![a](https://a.b/c.png)](https://d.e)", [link("https://d.e/", "a")]],
    ["[a] [b][c] a[0](1) ]", ["[a] [b][c] a[0](1) ]"]],
  ])("%s", (text, parts) => {
    expect(inlineOf(text)).toEqual(parts);
  });

  test.each([
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](vbscript:x) [b](file:///etc/passwd) [c](blob:x)",
    "<javascript:alert(1)> [r](/relative) [s](//x.y)",
    '<svg onload=alert(1)> <img src=x onerror="alert(1)"> <script>alert(1)</script>',
    "![a](data:image/svg+xml,<svg onload=alert(1)>)",
  ])("%s stays text", (text) => {
    expect(inlineOf(text).every((part) => typeof part === "string")).toBe(true);
    expect(inlineOf(text).join("")).toBe(text.replace(/\\(?=[!-/])/g, ""));
  });

  test("addresses are those of the web and of mails, whole", () => {
    expect(["https://a.b", "mailto:a@b.c", "HTTP://A.b/ä"].map(safeAddress)).toEqual([
      "https://a.b/",
      "mailto:a@b.c",
      "http://a.b/%C3%A4",
    ]);
    expect(["javascript:1", "ftp://a.b", "a.b", "/a", "//a.b", "", "http://"].map(safeAddress)).toEqual(
      Array.from({ length: 7 }),
    );
  });
});

/** How deeply blocks and parts nest, and how many there are. */
function extent(value: unknown): { readonly depth: number; readonly count: number } {
  if (typeof value !== "object" || value === null) return { depth: 0, count: 1 };
  const inner = Object.values(value).map(extent);
  return {
    depth: 1 + inner.reduce((most, { depth }) => Math.max(most, depth), 0),
    count: 1 + inner.reduce((sum, { count }) => sum + count, 0),
  };
}

const HOSTILE: Readonly<Record<string, (size: number) => string>> = {
  quotes: (size) => `${">".repeat(size)}a`,
  "quotes on lines": (size) => `${">".repeat(200)}a\n`.repeat(size / 200),
  lists: (size) => "- ".repeat(size / 2),
  "deeper and deeper lists": (size) =>
    Array.from({ length: Math.sqrt(size) }, (_, index) => `${" ".repeat(index * 2)}- a`).join("\n"),
  "empty items": (size) => "-\n".repeat(size / 2),
  brackets: (size) => "[".repeat(size),
  "open links": (size) => "[a](".repeat(size / 4),
  "nested links": (size) => `${"[".repeat(size / 8)}a${"](http://b)".repeat(size / 8)}`,
  "open emphasis": (size) => "*a_ **b ".repeat(size / 8),
  "nested emphasis": (size) => `${"*a _b ".repeat(size / 12)}${"b_ b* ".repeat(size / 12)}`,
  "one run of stars": (size) => `${"*".repeat(size / 2)}a${"*".repeat(size / 2)}`,
  words: (size) => "_a".repeat(size / 2),
  backticks: (size) => Array.from({ length: Math.sqrt(size) }, (_, index) => `${"`".repeat(index)}a`).join(""),
  tags: (size) => "<a <http: <!-- ".repeat(size / 15),
  columns: (size) => `${"|a".repeat(size / 4)}|\n${"|-".repeat(size / 4)}|`,
  addresses: (size) => "http://a.b/ www.a. ".repeat(size / 19),
  dots: (size) => `http://a${".".repeat(size)}`,
  spaces: (size) => `# a${" ".repeat(size)}b`,
  "open fences": (size) => "```\n~~~\n".repeat(size / 8),
};

/** Returns the processor time of a call, in milliseconds: other programs on the machine do not count. */
function workOf(call: () => void): number {
  const before = process.threadCpuUsage();
  call();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

describe("a hostile text", () => {
  test.each(Object.entries(HOSTILE))("%s: nests little, and needs time that grows with the text", (_, make) => {
    const timeOf = (size: number): number => {
      const text = make(size);
      return Math.min(...Array.from({ length: 3 }, () => workOf(() => markdownOf(text))));
    };
    const blocks = markdownOf(make(80_000));
    expect(extent(blocks).depth).toBeLessThan(120);
    timeOf(10_000);
    const [small, large] = [timeOf(20_000), timeOf(160_000)];
    // Eight times the text: a quadratic parser needs 64 times as long.
    expect(large / Math.max(small, 4)).toBeLessThan(28);
  });

  test("megabytes of text are parsed in a moment", () => {
    const text = "A line of **words**, `code` and [links](https://a.b).\n\n".repeat(20_000);
    expect(text.length).toBeGreaterThan(1_000_000);
    const from = performance.now();
    expect(markdownOf(text)).toHaveLength(20_000);
    expect(performance.now() - from).toBeLessThan(5_000);
  });

  test("sequences of terminals go, and characters that reorder text are visible", () => {
    expect(markdownOf("\u001b[31m**red**\u001b[0m a\u202eb")).toEqual([
      paragraph({ kind: "strong", content: ["red"] }, " a\\u202eb"),
    ]);
  });

  test("no text is lost: what is no mark stays", () => {
    const words = fc.string({
      unit: fc.constantFrom("a", "b", "1", " ", "<", "$", "&", ";", "ä", "😀"),
      maxLength: 80,
    });
    fc.assert(
      fc.property(words, (text) => {
        const shown = inlineOf(text);
        expect(shown.filter((part) => typeof part === "string").join("")).toBe(text);
      }),
    );
  });

  test("any text is parsed without an error", () => {
    const unit = fc.constantFrom(..."[](){}*_~`>#-+|.!:<&\\ \t\n1ax".split(""), "http://", "```\n", "- ", "\n\n");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 300 }), (text) => {
        expect(extent(markdownOf(text)).depth).toBeLessThan(120);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("where a link leads", () => {
  test("an address may be the text of a link", () => {
    for (const address of ["https://a.b/c", "https://a.b/c?d#e", "www.a.b/(c)"]) {
      const href = address.replace("www.", "http://www.");
      expect(inlineOf(`([${address}](${href}))`)).toEqual(["(", link(href, address), ")"]);
      expect(inlineOf(`[${address}] c`)).toEqual(["[", link(href, address), "] c"]);
    }
  });

  const targetOf = (text: string): string | undefined => {
    const [found] = inlineOf(text);
    if (found === undefined || typeof found === "string" || found.kind !== "link") throw new Error(`no link: ${text}`);
    return unsaidTarget(found);
  };

  test.each([
    "https://evil.com/a?b#c",
    "<https://evil.com>",
    "[evil.com](https://evil.com/a)",
    "[evil.com/a](https://evil.com/b)",
    "[evil.com?a](https://evil.com)",
    "www.evil.com",
    "[a@evil.com](mailto:a@evil.com)",
    "<mailto:a@evil.com>",
  ])("%s says it", (text) => {
    expect(targetOf(text)).toBeUndefined();
  });

  test.each([
    ["[bank](https://evil.com)", "evil.com"],
    ["[https://bank.com](https://evil.com)", "evil.com"],
    ["[evil.com.bank.com](https://evil.com)", "evil.com"],
    ["[bank.com/evil.com](https://evil.com)", "evil.com"],
    ["[https://bank.com/?to=evil.com](https://evil.com)", "evil.com"],
    ["https://bank.com@evil.com/", "evil.com"],
    ["[evil.com](https://evil.com:8443)", "evil.com:8443"],
    ["[evil.com@bank.com](https://evil.com)", "evil.com"],
    ["[**evil.com**](https://evil.com)", "evil.com"],
    ["[https://b\u00e4nk.com](https://b\u00e4nk.com)", "xn--bnk-qla.com"],
    ["[a@bank.com](mailto:a@evil.com)", "a@evil.com"],
    ["[http://evil.com](https://evil.com)", "evil.com"],
  ])("%s does not", (text, target) => {
    expect(targetOf(text)).toBe(target);
  });
});

describe("a text that grows", () => {
  const TEXT = [
    "# Title\n\nSome **words** and `code`.\n\n",
    "- one\n- two\n  - three\n\n    more\n- four\n\n",
    "```js\nconst a = 1;\n\n# no heading\n```\n\n> a quote\n> with *two* lines\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n1. x\n2. y\n\nThe \u001b[31mend\u001b[0m\r\nof it.",
  ].join("");

  test.each([1, 2, 3, 7, 40])("in steps of %i characters has the blocks of the whole text in the end", (step) => {
    const growing = new GrowingMarkdown();
    for (let end = step; end < TEXT.length; end += step) growing.take(TEXT.slice(0, end));
    expect(growing.take(`${TEXT}\n`)).toEqual(markdownOf(TEXT));
  });

  test("keeps its closed blocks as they are", () => {
    const growing = new GrowingMarkdown();
    const before = growing.take("# a\n\nb\n\nc");
    const after = growing.take("# a\n\nb\n\nc d\n\ne");
    expect(after).toHaveLength(4);
    expect([after[0] === before[0], after[1] === before[1], after[2] === before[2]]).toEqual([true, true, false]);
  });

  test("needs time that grows with the text, as paragraphs and as one block", () => {
    const timeOf = (part: string, count: number): number => {
      const growing = new GrowingMarkdown();
      let text = "";
      return workOf(() => {
        for (let index = 0; index < count; index++) {
          text += part.repeat(40);
          growing.take(text);
        }
      });
    };
    for (const part of ["Some **words** of a paragraph.\n\n", "    an indented line of code\n", "word "]) {
      timeOf(part, 40);
      const [small, large] = [timeOf(part, 50), timeOf(part, 400)];
      expect(large / Math.max(small, 20)).toBeLessThan(28);
    }
  });
});
