import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { halfCompactionAt, removeHalfCompaction } from "../../src/claude/half-compaction.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-compaction-"));
  file = join(folder, "a.jsonl");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const line = (entry: object): string => `${JSON.stringify(entry)}\n`;
const BEFORE = line({ type: "user", uuid: "1" }) + line({ type: "assistant", uuid: "2" }) + line({ type: "user" });
const BOUNDARY = line({ type: "system", subtype: "compact_boundary" });
const ATTACHMENT = line({ type: "attachment" });
const SUMMARY = line({ type: "user", isCompactSummary: true });
const HALF = SUMMARY.slice(0, -5);

test.each([
  ["the boundary alone", BOUNDARY],
  ["half of what comes then", BOUNDARY + ATTACHMENT.slice(0, 1)],
  ["half of the summary", BOUNDARY + ATTACHMENT + HALF],
  ["a second compaction, behind one that is whole", BOUNDARY + SUMMARY + line({ type: "assistant" }) + BOUNDARY, true],
  ["much between the two", BOUNDARY + line({ type: "attachment", text: "x".repeat(900_000) })],
])("a compaction that was written by half is taken out: %s", async (_, written, second = false) => {
  await writeFile(file, BEFORE + written);
  const left = second ? BEFORE + BOUNDARY + SUMMARY + line({ type: "assistant" }) : BEFORE;
  expect(await halfCompactionAt(file)).toBe(left.length);
  await removeHalfCompaction(file);
  expect(await readFile(file, "utf8")).toBe(left);
  expect(await halfCompactionAt(file)).toBeUndefined();
});

test.each([
  ["none", BEFORE],
  ["one that is whole", BEFORE + BOUNDARY + ATTACHMENT + SUMMARY],
  ["one that is whole, and what came then", BEFORE + BOUNDARY + SUMMARY + ATTACHMENT + line({ type: "user" })],
  ["one after which Claude has answered", BEFORE + BOUNDARY + line({ type: "assistant" })],
  ["a prompt that speaks of one", BEFORE + line({ type: "user", text: BOUNDARY })],
  ["an empty transcript", ""],
  ["a line break", "\n"],
  ["something else", "x"],
])("what is no half is left as it is: %s", async (_, written) => {
  await writeFile(file, written);
  expect(await halfCompactionAt(file)).toBeUndefined();
  await removeHalfCompaction(file);
  expect(await readFile(file, "utf8")).toBe(written);
});
