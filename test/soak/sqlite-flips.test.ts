import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isReadable, readAll, warnings, written } from "../journal/damaged-journal.ts";

/*
 * SQLite accepts a text or a number with a flipped bit like any other. The reader gets what was written, or is told of
 * the damage.
 */

const FLIPS = Number(process.env["FLIPS"] ?? 300);
const SEED = Number(process.env["FLIP_SEED"] ?? 1);

describe("sqliteJournal on a file with a flipped bit", () => {
  it("refuses the file, reports the damage, or reads what was written", { timeout: 300_000 }, async () => {
    const path = await written();
    const whole = readFileSync(path);
    const right = await readAll(path);
    if (!isReadable(right)) throw new Error("It was not opened.");
    expect(right.answers.every((answer) => typeof answer === "string")).toBe(true);
    expect(right.damage).toBeUndefined();
    warnings();
    let noticed = 0;
    let seed = SEED;
    for (let tried = 0; tried < FLIPS; tried += 1) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      const bit = Math.floor((seed / 2 ** 32) * whole.length * 8);
      const flipped = Buffer.from(whole);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      for (const part of ["-wal", "-shm", "-written"]) rmSync(path + part, { force: true });
      writeFileSync(path, flipped);
      const outcome = await readAll(path);
      const wrong = isReadable(outcome)
        ? outcome.answers.filter((answer, index) => typeof answer === "string" && answer !== right.answers[index])
        : [];
      const loud =
        !isReadable(outcome) || outcome.damage !== undefined || outcome.answers.some((one) => typeof one !== "string");
      if (loud) noticed += 1;
      expect(isReadable(outcome) && outcome.damage === undefined ? wrong : [], `bit ${bit}`).toEqual([]);
    }
    // Most of the file is unused space of pages: each table and index has a page of its own.
    expect(noticed).toBeGreaterThan(FLIPS / 10);
  });
});
