import { existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it, vi } from "vitest";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { ALL_EVENTS } from "../../src/testing/conformance/journal-case.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import { canSlowDown, slowDisk } from "./slow-disk.ts";
import { Application } from "./sqlite-application.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "./sqlite-scene.ts";

/** The delay of each fsync on the slow disk. */
const SYNC_MS = 400;

async function opened(sqlite = join(newFolder(), "castellan.db")): Promise<Journal & AsyncDisposable> {
  const journal = sqliteJournal({ sqlite });
  await journal.open(OWNER);
  return Object.assign(journal, { [Symbol.asyncDispose]: () => journal.close() });
}

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe("sqliteJournal", () => {
  for (const { name, run } of journalConformance(() => sqliteJournal({ sqlite: join(newFolder(), "castellan.db") }))) {
    it(name, run);
  }
});

describe("the file of a SQLite journal", () => {
  it("is created on the first open, readable by its user only, and ignored by git", async () => {
    const folder = join(newFolder(), "a", ".castellan");
    const journal = sqliteJournal({ sqlite: join(folder, "castellan.db") });
    expect(existsSync(folder)).toBe(false);
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t")));
    expect(modeOf(folder)).toBe(0o700);
    expect(readFileSync(join(folder, ".gitignore"), "utf8")).toBe("*\n");
    const files = [
      "castellan.db",
      "castellan.db-owner",
      "castellan.db-shm",
      "castellan.db-wal",
      "castellan.db-written",
    ];
    expect(readdirSync(folder)).toEqual([".gitignore", ...files]);
    for (const file of files) expect([file, modeOf(join(folder, file))]).toEqual([file, 0o600]);
    expect(readdirSync(join(folder, ".."))).toEqual([".castellan"]);
    await journal.close();
    expect(readdirSync(folder)).toEqual([".gitignore", "castellan.db", "castellan.db-owner", "castellan.db-written"]);
  });

  it("is created in an existing folder without changes to the folder", async () => {
    const folder = newFolder();
    await using _ = await opened(join(folder, "castellan.db"));
    expect(existsSync(join(folder, ".gitignore"))).toBe(false);
  });

  it("is created at the target of a dangling link", async () => {
    const folder = newFolder();
    symlinkSync(join("volume", "real.db"), join(folder, "castellan.db"));
    await using journal = await opened(join(folder, "castellan.db"));
    await journal.write(accepting(1, turn("t")));
    expect(readdirSync(join(folder, "volume"))).toContain("real.db-owner");
  });

  it("can be read by other programs while it is open", async () => {
    await using journal = await opened();
    await journal.write(accepting(1, turn("t1"), turn("t2")));
    using tool = new DatabaseSync(journal.location, { readOnly: true });
    const count = tool.prepare("SELECT count(*) AS turns FROM turns");
    expect({ ...count.get() }).toEqual({ turns: 2 });
    expect({ ...tool.prepare("SELECT pid FROM owner").get() }).toEqual({ pid: process.pid });
    // A reader in a transaction blocks no writer, and sees the state of its begin.
    tool.exec("BEGIN");
    count.get();
    await journal.write(accepting(2, turn("t3")));
    expect({ ...count.get() }).toEqual({ turns: 2 });
    tool.exec("COMMIT");
    expect({ ...count.get() }).toEqual({ turns: 3 });
  });

  it("gets the contents of a long log while nobody writes, and in a commit if somebody always does", async () => {
    const path = join(newFolder(), "castellan.db");
    await using journal = await opened(path);
    const megabytes = (file: string): number => statSync(file).size / 1024 ** 2;
    const prompt = "x".repeat(1024 ** 2);
    let number = 0;
    const write = (): Promise<void> => journal.write(accepting(++number, turn(`t${number}`, { prompt })));
    // A thousand frames have 4 MB.
    while (megabytes(`${path}-wal`) < 3) await write();
    await write();
    await write();
    await vi.waitFor(() => expect(megabytes(path)).toBeGreaterThan(4));
    const length = megabytes(`${path}-wal`);
    await write();
    expect(megabytes(`${path}-wal`)).toBe(length);
    for (let more = 0; more < 40; more += 1) await write();
    expect(megabytes(`${path}-wal`)).toBeLessThan(14);
    expect((await journal.turn("t1"))?.prompt).toBe(prompt);
    expect((await journal.turn(`t${number}`))?.prompt).toBe(prompt);
  });

  it("rejects a write with reason busy while another program has it locked, and takes it afterwards", async () => {
    await using journal = await opened();
    using tool = new DatabaseSync(journal.location);
    tool.exec("BEGIN IMMEDIATE");
    const error = await errorOf(journal.write(accepting(1, turn("t"))));
    expect(error.details).toEqual({ reason: "busy", applied: false });
    expect(error.message).toContain("locked");
    tool.exec("ROLLBACK");
    await journal.write(accepting(1, turn("t")));
    expect(await journal.turn("t")).toBeDefined();
  });
});

describe("a batch in a SQLite journal", () => {
  const unfit: { readonly [name: string]: Change } = {
    "a NaN": { type: "turn_accepted", turn: turn("t2", { acceptedAt: Number.NaN }) },
    "a value that JSON cannot represent": {
      type: "turn_ended",
      turn: "t1",
      state: "completed",
      at: 1,
      // A value that the types rule out.
      outcome: JSON.parse("{}", () => ({ big: 1n })),
    },
    "a null instead of a text": { type: "turn_touched", turn: JSON.parse("null") },
  };
  for (const [what, change] of Object.entries(unfit)) {
    it(`with ${what} is refused as a whole, and does not affect the next one`, async () => {
      await using journal = await opened();
      const changes: Change[] = [...accepting(1, turn("t1")).changes, change];
      const error = await errorOf(journal.write({ number: 1, changes, durable: false }));
      expect([error.code, error.details]).toEqual(["JOURNAL_UNAVAILABLE", { reason: "refused", applied: false }]);
      expect(await journal.turn("t1")).toBeUndefined();
      await journal.write(accepting(1, turn("t1")));
      expect(await journal.turn("t1")).toBeDefined();
    });
  }

  it("is written once, and its number is free again after the owner reopens the journal", async () => {
    await using journal = await opened();
    await journal.write(accepting(1, turn("t1")));
    await journal.write(accepting(1, turn("t2")));
    expect(await journal.turn("t2")).toBeUndefined();
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t2")));
    expect(await journal.turn("t2")).toBeDefined();
  });
});

describe("SQLite journal on a slow disk", () => {
  it.skipIf(!canSlowDown)("waits for the disk for durable batches only", { timeout: 60_000 }, async () => {
    const folder = newFolder();
    const flag = join(folder, "slow");
    await using application = new Application(join(folder, "castellan.db"), { env: slowDisk(SYNC_MS, flag) });
    await application.order({ do: "open" });
    const takes = async (number: number, durable: boolean): Promise<number> => {
      const begun = performance.now();
      const batch = { ...accepting(number, turn(`t${number}`)), durable };
      expect(await application.order({ do: "write", batch })).toEqual({});
      return performance.now() - begun;
    };
    // The first batch always waits, since it begins the log.
    await takes(1, true);
    writeFileSync(flag, "");
    for (const [index, durable] of [false, false, true, true, false].entries()) {
      const waited = (await takes(index + 2, durable)) >= SYNC_MS;
      expect([index, waited]).toEqual([index, durable]);
    }
  });
});

describe("sqliteJournal prune", () => {
  const ended = (count: number): Change[] =>
    Array.from({ length: count }, (_, at) => [
      { type: "turn_accepted", turn: turn(`t${at}`) } as const,
      { type: "turn_ended", turn: `t${at}`, state: "completed", at, outcome: {} } as const,
    ]).flat();

  it("lets writes run in between", async () => {
    await using journal = await opened();
    await journal.write({ number: 1, changes: ended(2_000), durable: false });
    const events: string[] = [];
    const pruned = journal
      .prune({ endedSince: 0, turnsPerSession: 10, events: ALL_EVENTS })
      .then((count) => events.push(`${count} gone`));
    await new Promise(setImmediate);
    await journal.write(accepting(2, turn("new")));
    events.push("written");
    await pruned;
    expect(events).toEqual(["written", "1990 gone"]);
    expect(await journal.turn("t1990")).toBeDefined();
    expect(await journal.turn("t1989")).toBeUndefined();
  });

  it("keeps any number of turns with turnsPerSession Infinity", async () => {
    await using journal = await opened();
    await journal.write({ number: 1, changes: ended(20), durable: false });
    expect(await journal.prune({ endedSince: 5, turnsPerSession: Number.POSITIVE_INFINITY, events: ALL_EVENTS })).toBe(
      5,
    );
  });

  it("rejects when the journal is closed", async () => {
    const journal = await opened();
    await journal.write({ number: 1, changes: ended(2_000), durable: false });
    const pruned = errorOf(journal.prune({ endedSince: 10_000, turnsPerSession: 0, events: ALL_EVENTS }));
    await journal.close();
    expect((await pruned).details).toMatchObject({ reason: "failed" });
    await journal.open(OWNER);
    expect(await journal.prune({ endedSince: 10_000, turnsPerSession: 0, events: ALL_EVENTS })).toBeGreaterThan(0);
    await journal.close();
  });
});

describe("sqliteJournal close", () => {
  it("is idempotent, and the journal can be reopened", async () => {
    const journal = await opened();
    await journal.write(accepting(1, turn("t")));
    await journal.close();
    await journal.close();
    const error = await errorOf(journal.turn("t"));
    expect([error.code, error.message]).toEqual([
      "JOURNAL_UNAVAILABLE",
      `The journal ${journal.location} cannot be used (failed): it is not open. Open it first.`,
    ]);
    await journal.open(OWNER);
    expect(await journal.turn("t")).toBeDefined();
    await journal.close();
  });

  it("resolves although the file is gone", async () => {
    const folder = newFolder();
    const journal = await opened(join(folder, "deep", "castellan.db"));
    rmSync(join(folder, "deep"), { recursive: true });
    await journal.close();
    await journal.open(OWNER);
    await journal.close();
  });
});
