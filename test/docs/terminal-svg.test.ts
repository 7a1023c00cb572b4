import { expect, test } from "vitest";
import { textOf } from "../../scripts/guide.ts";
import { terminalSvg } from "../../scripts/terminal-svg.ts";

/** Returns the visible lines of a picture, and when each appears, in seconds. */
function linesOf(svg: string): { readonly text: string; readonly at: number }[] {
  const lines = [...svg.matchAll(/<text [^>]*animation-delay:([\d.]+)s">(.*)<\/text>/g)];
  return lines.map(([, at, marked = ""]) => ({ at: Number(at), text: marked.replaceAll(/<[^>]*>/g, "") }));
}

test("terminalSvg(): shows lines one after the other, long waits shortened, and escapes them", () => {
  const svg = terminalSvg(
    [
      { text: "$ echo '<a>' && ls", isTyped: true, afterMs: 0 },
      { text: "<a>", isTyped: false, afterMs: 60_000 },
      { text: "$ ", isTyped: true, afterMs: 0 },
    ],
    "One & two",
  );
  expect(svg).toContain("<title>One &amp; two</title>");
  const lines = linesOf(svg);
  expect(lines.map(({ text }) => text)).toEqual(["$ echo '&lt;a&gt;' &amp;&amp; ls", "&lt;a&gt;", "$ "]);
  expect(lines.map(({ at }) => at)).toEqual(lines.map(({ at }) => at).toSorted((a, b) => a - b));
  expect(lines.at(-1)?.at).toBeLessThan(5);
});

test("docs/pictures/terminal.svg: shows a killed process, and an answer from the conversation before it", () => {
  const lines = linesOf(textOf("docs/pictures/terminal.svg")).map(({ text }) => text);
  const killed = lines.findIndex((line) => line.startsWith("$ kill -9 "));
  const pid = lines[killed]?.split(" ").at(-1) ?? "";
  const order = /My order is ([\d-]+)\./.exec(lines[0] ?? "")?.[1] ?? "";
  expect(lines.slice(0, killed).some((line) => line.startsWith("support/42") && line.includes(pid))).toBe(true);
  const [question, answer, ...after] = lines.slice(killed + 1);
  expect(question).toContain("Which order is mine?");
  expect(question).not.toContain(order);
  expect(answer).toContain(order);
  expect(after.find((line) => line.startsWith("support/42"))).toMatch(/ 1$/);
});
