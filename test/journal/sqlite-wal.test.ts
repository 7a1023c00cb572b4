import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { isIndexOf, readLog } from "../../src/journal/sqlite/sqlite-wal.ts";
import { newFolder } from "./sqlite-scene.ts";

const BLOCK = 32_768;

/** Returns an open database whose log has at least that many frames. */
function grown(frames: number): { database: DatabaseSync; reader: DatabaseSync; wal: Buffer; shm: Buffer } {
  const path = join(newFolder(), "some.db");
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
  // The log cannot restart while a reader uses it.
  const reader = new DatabaseSync(path);
  reader.exec("BEGIN; SELECT count(*) FROM t");
  const insert = database.prepare("INSERT INTO t VALUES (randomblob(?))");
  while (statSync(`${path}-wal`).size < 32 + frames * 4_120) insert.run(400_000);
  return { database, reader, wal: readFileSync(`${path}-wal`), shm: readFileSync(`${path}-shm`) };
}

describe("isIndexOf a write-ahead log", () => {
  for (const [blocks, frames] of [
    [1, 10],
    [1, 3_000],
    [2, 4_200],
    [3, 9_000],
  ] as const) {
    it(`accepts the right index and rejects spoiled ones, with ${frames} frames and more`, () => {
      const { database, reader, wal, shm } = grown(frames);
      const log = readLog(wal);
      expect(log.pages.length).toBeGreaterThanOrEqual(frames - 200);
      expect(shm.length).toBe(blocks * BLOCK);
      expect(isIndexOf(shm, log)).toBe(true);
      const last = blocks - 1;
      const places = {
        header: 20,
        copy: 70,
        page: last * BLOCK + (last === 0 ? 136 : 0),
        slots: last * BLOCK + 16_384,
      };
      for (const [what, at] of Object.entries(places)) {
        const spoiled = Buffer.from(shm);
        spoiled.fill(0xa5, at, at + (what === "slots" ? 16_384 : 4));
        expect([what, isIndexOf(spoiled, log)]).toEqual([what, false]);
      }
      reader.close();
      database.close();
    });
  }

  it("rejects the index when the log is damaged or cut", () => {
    const { database, reader, wal, shm } = grown(300);
    const spoiled = Buffer.from(wal);
    spoiled.writeUInt8((spoiled.readUInt8(700_000) + 1) % 256, 700_000);
    for (const log of [spoiled, wal.subarray(0, wal.length - 4_120), wal.subarray(0, 31), Buffer.alloc(wal.length)]) {
      expect(readLog(log).pages.length).toBeLessThan(readLog(wal).pages.length);
      expect(isIndexOf(shm, readLog(log)), `${log.length}`).toBe(false);
    }
    reader.close();
    database.close();
  });
});
