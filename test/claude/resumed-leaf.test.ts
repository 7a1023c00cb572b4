import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nameLeaf, staleLeafOf, withNamedLeaf } from "../../src/claude/resumed-leaf.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-leaf-"));
  file = join(folder, "a.jsonl");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const user = (uuid: string) => ({ type: "user", uuid });
const assistant = (uuid: string) => ({ type: "assistant", uuid });
const named = (leafUuid: string) => ({ type: "last-prompt", lastPrompt: "p", leafUuid, sessionId: "s" });
const subagent = { type: "assistant", uuid: "side", isSidechain: true };
const other = { type: "queue-operation", operation: "enqueue" };
const lines = (entries: readonly object[]): string => entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");

const CASES: readonly [string, readonly { readonly type: string; readonly uuid?: string }[], string | undefined][] = [
  ["an orderly end", [user("1"), assistant("2"), named("2")], undefined],
  ["an orderly end and another entry", [user("1"), assistant("2"), named("2"), other], undefined],
  ["a message after an orderly end", [user("1"), assistant("2"), named("2"), user("3")], "3"],
  ["an answer after two orderly ends", [named("1"), user("1"), named("1"), user("2"), assistant("3"), other], "3"],
  ["a subagent's message last", [user("1"), named("1"), user("2"), subagent], "2"],
  ["a subagent's message alone", [user("1"), named("1"), subagent], undefined],
  ["no orderly end", [user("1"), assistant("2")], undefined],
  ["no message", [other], undefined],
];

describe("staleLeafOf() and nameLeaf()", () => {
  it.each(CASES)("name the last message where needed: %s", async (_, entries, leaf) => {
    const before = lines(entries);
    await writeFile(file, before);
    const added = leaf === undefined ? [] : [named(leaf)];
    expect(await staleLeafOf(file)).toEqual(added[0]);
    await nameLeaf(file);
    expect(await readFile(file, "utf8")).toBe(before + lines(added));
    expect(await staleLeafOf(file)).toBeUndefined();
    expect(withNamedLeaf(entries)).toEqual([...entries, ...added]);
  });

  it("write on a line of their own behind half a line", async () => {
    const before = `${lines([user("1"), named("1"), user("2")])}{"type":"assi`;
    await writeFile(file, before);
    await nameLeaf(file);
    expect(await readFile(file, "utf8")).toBe(`${before}\n${lines([named("2")])}`);
  });

  it("find an older name many megabytes back", async () => {
    const much = { type: "attachment", text: "x".repeat(1_000_000) };
    await writeFile(file, lines([user("1"), named("1"), user("2"), ...Array.from({ length: 10 }, () => much)]));
    expect(await staleLeafOf(file)).toEqual(named("2"));
  });
});
