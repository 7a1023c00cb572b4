import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DiffRow, lineDiff } from "../../src/page/store/diff-lines.ts";
import { exactLines } from "../../src/page/store/shown-name.ts";

const SIGN = { same: " ", added: "+", removed: "-" } as const;

const textOf = (rows: readonly DiffRow[]): string[] =>
  rows.map((row) => (row.kind === "gap" ? `@${row.count}` : `${SIGN[row.kind]}${row.text}${row.open ? "" : "\n"}`));

describe("the difference of two texts", () => {
  test.each([
    ["nothing", "", "", []],
    ["a new text", "", "a\nb", ["+a\n", "+b"]],
    ["a removed text", "a\n", "", ["-a\n"]],
    ["a changed line between unchanged ones", "a\nb\nc", "a\nB\nc", [" a\n", "-b\n", "+B\n", " c"]],
    ["a line break at the end", "a", "a\n", ["-a", "+a\n"]],
    ["a carriage return", "a\r\n", "a\n", ["-a\r\n", "+a\n"]],
    ["only indentation", "  a\n", "\ta\n", ["-  a\n", "+\ta\n"]],
  ])("%s", (_, before, after, rows) => {
    expect(textOf(lineDiff(before, after).rows)).toEqual(rows);
  });

  test("unchanged lines far from a change are left out, a single one is not", () => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index}`);
    const changed = lines.with(9, "changed");
    const { rows, added, removed } = lineDiff(lines.join("\n"), changed.join("\n"));
    const shown = textOf(rows);
    expect([shown[0], shown.at(-1), added, removed]).toEqual(["@6", "@7", 1, 1]);
    expect(shown.slice(1, 5)).toEqual([" line 6\n", " line 7\n", " line 8\n", "-line 9\n"]);
    const near = lineDiff("1\n2\n3\n4\nx\n", "1\n2\n3\n4\ny\n");
    expect(textOf(near.rows).slice(0, 2)).toEqual([" 1\n", " 2\n"]);
  });

  test("of any two texts contains both, whatever they are", () => {
    const line = fc.constantFrom("a", "b", "", "\r", "a\u2028b", "\u202ec");
    const text = fc.tuple(fc.array(line, { maxLength: 6 }), fc.boolean()).map(([lines, end]) => {
      return lines.join("\n") + (end ? "\n" : "");
    });
    fc.assert(
      fc.property(text, text, (before, after) => {
        const { rows, added, removed } = lineDiff(before, after);
        if (rows.some(({ kind }) => kind === "gap")) return;
        const side = (other: string): string =>
          rows
            .flatMap((row) => (row.kind === "gap" || row.kind === other ? [] : `${row.text}${row.open ? "" : "\n"}`))
            .join("");
        expect([side("added"), side("removed")]).toEqual([before, after]);
        expect(added).toBe(rows.filter(({ kind }) => kind === "added").length);
        expect(removed).toBe(rows.filter(({ kind }) => kind === "removed").length);
      }),
    );
  });

  test("of two long texts without a common line costs a bounded time, and shows one replaced by the other", () => {
    const long = (word: string): string => Array.from({ length: 50_000 }, (_, index) => `${word} ${index}\n`).join("");
    const since = performance.now();
    const { rows, added, removed } = lineDiff(long("before"), long("after"));
    expect(performance.now() - since).toBeLessThan(5_000);
    expect([rows.length, added, removed, rows[0]?.kind]).toEqual([100_000, 50_000, 50_000, "removed"]);
  });
});

describe("a text that somebody decides about", () => {
  test.each([
    ["a terminal sequence", "echo \u001b[8mrm -rf ~\u001b[0m", "echo \\u001b[8mrm -rf ~\\u001b[0m"],
    ["a carriage return", "rm -rf ~\rls", "rm -rf ~\\u000dls"],
    ["reordered text", "a\u202eb", "a\\u202eb"],
    [
      "what nobody sees",
      "a\u200bb\u3164c\ufe0fd\u00ade\u{e0041}f\u2800g",
      "a\\u200bb\\u3164c\\ufe0fd\\u00ade\\u{e0041}f\\u2800g",
    ],
    ["spaces that are none", "a\u00a0b\u3000c\u2028d", "a\\u00a0b\\u3000c\\u2028d"],
    ["tabs, line breaks and words of any script", "\tä 漢字\n שלום", "\tä 漢字\n שלום"],
  ])("shows %s", (_, text, shown) => {
    expect(exactLines(text)).toBe(shown);
  });
});
