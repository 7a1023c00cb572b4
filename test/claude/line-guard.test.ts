import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineGuard } from "../../src/claude/line-guard.ts";

interface Passed {
  readonly breaks: readonly string[];
  readonly output: Buffer;
}

async function pass(chunks: readonly (Buffer | string)[]): Promise<Passed> {
  const breaks: string[] = [];
  const output: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output.push(chunk);
      done();
    },
  });
  await pipeline(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), new LineGuard((r) => breaks.push(r)), sink);
  return { breaks, output: Buffer.concat(output) };
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
  it("lets every chunking of valid lines pass unchanged and without a word", async () => {
    await fc.assert(
      fc.asyncProperty(lines, cuts, async (valid, where) => {
        const bytes = Buffer.from(valid.join(""));
        expect(await pass(chop(bytes, where))).toEqual({ breaks: [], output: bytes });
      }),
      { numRuns: 300 },
    );
  });

  it("reports a broken line once, wherever it stands and however it is cut, and holds nothing back", async () => {
    await fc.assert(
      fc.asyncProperty(lines, broken, lines, cuts, async (before, line, after, where) => {
        const bytes = Buffer.from(`${before.join("")}${line}\n${after.join("")}`);
        const { breaks, output } = await pass(chop(bytes, where));
        expect(breaks).toHaveLength(1);
        expect(output).toEqual(bytes);
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
  ])("says: %s", async (reason, output) => {
    expect((await pass([output])).breaks).toEqual([reason]);
  });

  it("reports only once, however much follows", async () => {
    expect((await pass(["oops\n", "oops\n", "{\n", "\0"])).breaks).toHaveLength(1);
  });

  it("shows no more than the beginning of a long broken line", async () => {
    const [reason = ""] = (await pass([`${"x".repeat(10_000)}\n`])).breaks;
    expect(reason.length).toBeLessThan(100);
  });

  it("says nothing of a last line without its end, which the exit of the process explains", async () => {
    expect((await pass(['{"a":1}\n{"b":'])).breaks).toEqual([]);
  });

  it("takes a message of 63 MB, and reports a line that never ends", async () => {
    const megabyte = Buffer.alloc(1024 * 1024, "x");
    const body = (megabytes: number): Buffer[] => [
      Buffer.from("{"),
      ...Array.from({ length: megabytes }, () => megabyte),
    ];
    expect((await pass([...body(63), "}\n"])).breaks).toEqual([]);
    const { breaks } = await pass(body(65));
    expect(breaks).toEqual([expect.stringContaining("more than")]);
  });
});
