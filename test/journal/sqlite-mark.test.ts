import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { formatMark, markPath, missingFrom, readMark } from "../../src/journal/sqlite/sqlite-mark.ts";
import { warnings } from "./damaged-journal.ts";
import { accepting, newFolder, OWNER, turn } from "./sqlite-scene.ts";

describe("missingFrom of a journal", () => {
  const mark = { openings: 7, written: 140, durable: 100, boot: "now" };
  it.each([
    ["of another opening that came later", { openings: 8, written: 0 }, mark, "now", undefined],
    ["that has all", { openings: 7, written: 140 }, mark, "now", undefined],
    ["whose mark came too late", { openings: 7, written: 141 }, mark, "now", undefined],
    ["that lacks the last", { openings: 7, written: 70 }, mark, "now", "the last 70 of its 140 batches"],
    ["after a loss of power", { openings: 7, written: 100 }, mark, "then", undefined],
    [
      "after a loss of power, of what was on the disk",
      { openings: 7, written: 90 },
      mark,
      "then",
      "the last 10 of its 100",
    ],
    ["on a system that tells no run", { openings: 7, written: 100 }, { ...mark, boot: "" }, "", undefined],
    ["that is older", { openings: 6, written: 500 }, mark, "now", "an older copy"],
    ["that is older, after a loss of power", { openings: 6, written: 500 }, mark, "then", "an older copy"],
    ["whose opening was lost with the power", { openings: 6, written: 5 }, { ...mark, durable: 0 }, "then", undefined],
    ["that was made anew", { openings: 0, written: 0 }, mark, "now", "its earlier contents are gone"],
    ["without a mark", { openings: 0, written: 0 }, undefined, "now", undefined],
  ])("%s", (_, found, marked, boot, words) => {
    const lack = missingFrom(found, marked, boot);
    if (words === undefined) expect(lack).toBeUndefined();
    else expect(lack).toContain(words);
  });
});

describe("a mark", () => {
  it("is read as it was written, and is undefined if it is garbled", () => {
    const path = join(newFolder(), "castellan.db");
    expect(readMark(path)).toBeUndefined();
    const mark = { openings: 3, written: 12, durable: 0, boot: "" };
    writeFileSync(markPath(path), formatMark(mark));
    expect(readMark(path)).toEqual(mark);
    for (const garbled of [formatMark(mark).replace("12", "13"), "", "\0".repeat(128), "3 12 0 -"]) {
      writeFileSync(markPath(path), garbled);
      expect(readMark(path), garbled).toBeUndefined();
    }
  });

  it("always has the same length", () => {
    const long = { openings: 1e9, written: 1e12, durable: 1e12, boot: "a1e23d29-d263-4b50-ae8c-5e66bd7d3fd4" };
    expect(formatMark(long)).toHaveLength(128);
    expect(formatMark({ openings: 1, written: 0, durable: 0, boot: "" })).toHaveLength(128);
  });
});

describe("a SQLite journal that is reopened", () => {
  async function written(path: string, turns: readonly string[]): Promise<string | undefined> {
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    const { damage } = journal;
    for (const [index, id] of turns.entries()) await journal.write(accepting(index + 1, turn(id)));
    await journal.close();
    return damage;
  }

  it("reports no damage while it has everything that was written", async () => {
    const path = join(newFolder(), "castellan.db");
    for (let opening = 1; opening <= 3; opening += 1) expect(await written(path, [`t${opening}`])).toBeUndefined();
    expect(readMark(path)).toMatchObject({ openings: 3, written: 1 });
    expect(statSync(markPath(path)).mode & 0o777).toBe(process.platform === "win32" ? 0o666 : 0o600);
  });

  it("reports once that it was replaced by a backup", async () => {
    const path = join(newFolder(), "castellan.db");
    const heard = warnings();
    await written(path, ["a"]);
    using database = new DatabaseSync(path);
    database.exec(`VACUUM INTO '${path}.backup'`);
    database.close();
    await written(path, ["b"]);
    renameSync(`${path}.backup`, path);
    expect(await written(path, [])).toContain("it is an older copy");
    await expect.poll(() => heard.some((message) => message.includes("it is an older copy"))).toBe(true);
    expect(await written(path, [])).toBeUndefined();
  });

  it("reports that its file was deleted", async () => {
    const path = join(newFolder(), "castellan.db");
    warnings();
    await written(path, ["a"]);
    rmSync(path);
    expect(await written(path, [])).toContain("its earlier contents are gone");
  });

  it("reports nothing after its mark was emptied, and writes the mark again", async () => {
    const path = join(newFolder(), "castellan.db");
    await written(path, ["a"]);
    writeFileSync(markPath(path), "");
    expect(await written(path, ["b", "c"])).toBeUndefined();
    expect(readMark(path)).toMatchObject({ openings: 2, written: 2 });
  });

  it("opens and writes without a mark when the mark cannot be written", async () => {
    const path = join(newFolder(), "castellan.db");
    mkdirSync(markPath(path));
    expect(await written(path, ["a"])).toBeUndefined();
    expect(await written(path, ["b"])).toBeUndefined();
    expect(readMark(path)).toBeUndefined();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    for (const id of ["a", "b"]) expect(await journal.turn(id)).toMatchObject({ id, state: "queued" });
    await journal.close();
  });
});
