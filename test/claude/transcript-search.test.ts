import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { transcriptHas } from "../../src/claude/transcript-search.ts";

const FIRST = "11111111-0000-4000-8000-000000000000";
const LAST = "22222222-0000-4000-8000-000000000000";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-search-"));
  file = join(folder, "a.jsonl");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const lines = (...entries: readonly object[]): string => entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");

test("transcriptHas(): finds a message by its id anywhere in a long transcript", async () => {
  for (const padding of [0, 262_100, 262_144, 700_000]) {
    const text = "x".repeat(padding);
    await writeFile(file, lines({ uuid: FIRST, text }, { uuid: LAST, text }));
    expect(await transcriptHas(file, [FIRST])).toBe(true);
    expect(await transcriptHas(file, [LAST])).toBe(true);
  }
});

test("transcriptHas(): finds a message across the border of two reads", async () => {
  const entry = lines({ uuid: FIRST });
  for (let shift = 0; shift <= entry.length; shift++) {
    await writeFile(file, `${entry}${"x".repeat(262_144 - shift)}`);
    expect(await transcriptHas(file, [FIRST])).toBe(true);
  }
});

test("transcriptHas(): ignores a parent's id, and an id in a text", async () => {
  const text = `{"uuid":"${LAST}"}`;
  await writeFile(file, lines({ parentUuid: LAST, uuid: FIRST, text }));
  expect(await transcriptHas(file, [LAST])).toBe(false);
  expect(await transcriptHas(file, [LAST, FIRST])).toBe(true);
});

test("transcriptHas(): is false for an empty transcript, and rejects for a missing one", async () => {
  await writeFile(file, "");
  expect(await transcriptHas(file, [FIRST])).toBe(false);
  await rm(file);
  await expect(transcriptHas(file, [FIRST])).rejects.toThrow("ENOENT");
});
