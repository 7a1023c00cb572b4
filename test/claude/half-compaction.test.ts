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
  ["half of an attachment", BOUNDARY + ATTACHMENT.slice(0, 1)],
  ["half of the summary", BOUNDARY + ATTACHMENT + HALF],
  ["a second compaction, after a whole one", BOUNDARY + SUMMARY + line({ type: "assistant" }) + BOUNDARY, true],
  ["a long attachment", BOUNDARY + line({ type: "attachment", text: "x".repeat(900_000) })],
])("removeHalfCompaction(): removes %s", async (_, written, second = false) => {
  await writeFile(file, BEFORE + written);
  const left = second ? BEFORE + BOUNDARY + SUMMARY + line({ type: "assistant" }) : BEFORE;
  expect(await halfCompactionAt(file)).toBe(left.length);
  await removeHalfCompaction(file);
  expect(await readFile(file, "utf8")).toBe(left);
  expect(await halfCompactionAt(file)).toBeUndefined();
});

test.each([
  ["no compaction", BEFORE],
  ["a whole compaction", BEFORE + BOUNDARY + ATTACHMENT + SUMMARY],
  ["a whole compaction with later messages", BEFORE + BOUNDARY + SUMMARY + ATTACHMENT + line({ type: "user" })],
  ["a compaction after which Claude answered", BEFORE + BOUNDARY + line({ type: "assistant" })],
  ["a prompt that quotes a boundary", BEFORE + line({ type: "user", text: BOUNDARY })],
  ["an empty transcript", ""],
  ["a line break", "\n"],
  ["other text", "x"],
])("removeHalfCompaction(): keeps %s", async (_, written) => {
  await writeFile(file, written);
  expect(await halfCompactionAt(file)).toBeUndefined();
  await removeHalfCompaction(file);
  expect(await readFile(file, "utf8")).toBe(written);
});
