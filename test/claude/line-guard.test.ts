import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineGuard } from "../../src/claude/line-guard.ts";

/** What a guard says of this output. */
function breaksIn(chunks: readonly (Buffer | string)[]): readonly string[] {
  const breaks: string[] = [];
  const guard = new LineGuard((reason) => breaks.push(reason));
  for (const chunk of chunks) guard.look(chunk);
  return breaks;
}

/** `bytes` in pieces that end at `cuts`. */
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

/** Lines that are not a JSON object, as far as their ends tell. */
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
  it("says nothing of valid lines, however they are cut", () => {
    fc.assert(
      fc.property(lines, cuts, (valid, where) => {
        expect(breaksIn(chop(Buffer.from(valid.join("")), where))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("reports a broken line once, wherever it stands and however it is cut", () => {
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
  ])("says: %s", (reason, output) => {
    expect(breaksIn([output])).toEqual([reason]);
  });

  it("reports only once, however much follows", () => {
    expect(breaksIn(["oops\n", "oops\n", "{\n", "\0"])).toHaveLength(1);
  });

  it("shows no more than the beginning of a long broken line", () => {
    const [reason = ""] = breaksIn([`${"x".repeat(10_000)}\n`]);
    expect(reason.length).toBeLessThan(100);
  });

  it("says nothing of a last line without its end, which the exit of the process explains", () => {
    expect(breaksIn(['{"a":1}\n{"b":'])).toEqual([]);
  });

  it("takes a message of 63 MB, and reports a line that never ends", () => {
    const megabyte = Buffer.alloc(1024 * 1024, "x");
    const body = (megabytes: number): Buffer[] => [
      Buffer.from("{"),
      ...Array.from({ length: megabytes }, () => megabyte),
    ];
    expect(breaksIn([...body(63), "}\n"])).toEqual([]);
    expect(breaksIn(body(65))).toEqual([expect.stringContaining("more than")]);
  });
});
