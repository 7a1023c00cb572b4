import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineGuard } from "../../src/claude/line-guard.ts";

/** Returns the breaks that a guard reports for this output. */
function breaksIn(chunks: readonly (Buffer | string)[]): readonly string[] {
  const breaks: string[] = [];
  const guard = new LineGuard((reason) => breaks.push(reason));
  for (const chunk of chunks) guard.look(chunk);
  return breaks;
}

/** Splits `bytes` at `cuts`. */
function chop(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

const message = fc
  .dictionary(fc.string({ unit: "binary", maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 })
  .map((value) => JSON.stringify(value));
const ending = fc.constantFrom("\n", "\r\n", "\n\n");
const lines = fc.array(
  fc.tuple(message, ending).map((line) => line.join("")),
  { maxLength: 8 },
);
const cuts = fc.array(fc.nat({ max: 2_000 }), { maxLength: 30 });

/** Lines that are no JSON object, as far as their ends tell. */
const broken = fc.oneof(
  fc.string({ minLength: 1 }).filter((text) => !text.startsWith("{") && !/[\r\n\0]/.test(text)),
  message.map((text) => `${text} (node:1) Warning`),
  fc
    .tuple(message, fc.nat({ max: 500 }))
    .map(([text, cut]) => text.slice(0, 1 + (cut % text.length)))
    .filter((text) => !text.endsWith("}")),
  message.map((text) => `${text.slice(0, -1)}\0}`),
);

describe("LineGuard", () => {
  it("reports nothing for valid lines, however they are split", () => {
    fc.assert(
      fc.property(lines, cuts, (valid, where) => {
        expect(breaksIn(chop(Buffer.from(valid.join("")), where))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("reports a broken line once, anywhere and however it is split", () => {
    fc.assert(
      fc.property(lines, broken, lines, cuts, (before, line, after, where) => {
        const bytes = Buffer.from(`${before.join("")}${line}\n${after.join("")}`);
        expect(breaksIn(chop(bytes, where))).toHaveLength(1);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['a line that begins with "Segmentation fault"', "Segmentation fault\n"],
    ['a line that begins with "[1,2]"', "[1,2]\n"],
    ['a line that begins with "\\"text\\""', '"text"\n'],
    ["a line that breaks off", '{"type":"result"\n'],
    ["a line that breaks off", '{"type":"res{"type":"result"}oops\n'],
    ["a NUL byte", '{"a":"\0"}\n'],
  ])("reports: %s", (reason, output) => {
    expect(breaksIn([output])).toEqual([reason]);
  });

  it("reports only the first break", () => {
    expect(breaksIn(["oops\n", "oops\n", "{\n", "\0"])).toHaveLength(1);
  });

  it("quotes only the beginning of a long broken line", () => {
    const [reason = ""] = breaksIn([`${"x".repeat(10_000)}\n`]);
    expect(reason.length).toBeLessThan(100);
  });

  it("reports nothing for an unfinished last line, which the process's exit explains", () => {
    expect(breaksIn(['{"a":1}\n{"b":'])).toEqual([]);
  });

  it("accepts a message of 63 MB, and reports an endless line", () => {
    const megabyte = Buffer.alloc(1024 * 1024, "x");
    const body = (megabytes: number): Buffer[] => [
      Buffer.from("{"),
      ...Array.from({ length: megabytes }, () => megabyte),
    ];
    expect(breaksIn([...body(63), "}\n"])).toEqual([]);
    expect(breaksIn(body(65))).toEqual([expect.stringContaining("more than")]);
  });
});
