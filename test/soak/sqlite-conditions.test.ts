import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { MIGRATIONS } from "../../src/journal/sqlite/sqlite-schema.ts";
import { Application, canMount, PrivateDisk, withMounts } from "../journal/sqlite-application.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "../journal/sqlite-scene.ts";

/** A user other than root, for whom permissions count. */
const NOBODY = process.getuid?.() === 0 ? 65_534 : undefined;

/** Every file of a folder, with its content. */
function contentsOf(folder: string): { readonly [file: string]: string } {
  return Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "base64")]));
}

async function openError(sqlite: string) {
  const error = await errorOf(sqliteJournal({ sqlite }).open(OWNER));
  expect(error.code).toBe("JOURNAL_UNAVAILABLE");
  return error;
}

/** Writes a journal with many turns and closes it. */
async function filled(path: string): Promise<void> {
  const journal = sqliteJournal({ sqlite: path });
  await journal.open(OWNER);
  await journal.write(
    accepting(1, ...Array.from({ length: 500 }, (_, n) => turn(`t${n}`, { prompt: "x".repeat(500) }))),
  );
  await journal.close();
}

describe("sqliteJournal on a file of another program or release", () => {
  it("refuses a file that a newer release wrote, and leaves it untouched", async () => {
    const folder = newFolder();
    const path = join(folder, "castellan.db");
    const newer = sqliteJournal({ sqlite: path }, { migrations: [...MIGRATIONS, "CREATE TABLE later (a)"] });
    await newer.open(OWNER);
    await newer.close();
    const before = contentsOf(folder);
    const error = await openError(path);
    expect(error.details).toEqual({ reason: "foreign" });
    expect(error.message).toBe(
      `The journal ${path} cannot be used (foreign): its version is ${MIGRATIONS.length + 1}, written by a newer release of Castellan; this release knows versions up to ${MIGRATIONS.length}. Castellan leaves the file unchanged. Update Castellan, or name another path.`,
    );
    expect(contentsOf(folder)).toEqual(before);
  });

  const programs: { readonly [which: string]: string } = {
    "with an application id": "PRAGMA application_id = 77",
    "with a table only": "CREATE TABLE theirs (a)",
    "in WAL mode": "PRAGMA journal_mode = WAL; CREATE TABLE theirs (a)",
    "with a version only": "PRAGMA user_version = 3",
  };
  for (const [which, sql] of Object.entries(programs)) {
    it(`refuses another program's file ${which}, and leaves it untouched`, async () => {
      const folder = newFolder();
      const path = join(folder, "other.db");
      const other = new DatabaseSync(path);
      other.exec(sql);
      other.close();
      const before = contentsOf(folder);
      expect((await openError(path)).details).toEqual({ reason: "foreign" });
      expect(contentsOf(folder)).toEqual(before);
    });
  }

  it("refuses another program's file while that program has it open", async () => {
    const path = join(newFolder(), "other.db");
    using other = new DatabaseSync(path);
    other.exec("PRAGMA journal_mode = WAL; CREATE TABLE theirs (a)");
    expect((await openError(path)).details).toEqual({ reason: "foreign" });
    other.exec("INSERT INTO theirs VALUES (1)");
  });

  it("opens an empty file", async () => {
    const path = join(newFolder(), "empty.db");
    writeFileSync(path, "");
    await filled(path);
  });
});

describe("sqliteJournal on a damaged file", () => {
  it("refuses a file that is no database, and leaves it untouched", async () => {
    const folder = newFolder();
    writeFileSync(join(folder, "castellan.db"), "This is a letter, and quite a long one.".repeat(200));
    const before = contentsOf(folder);
    const error = await openError(join(folder, "castellan.db"));
    expect(error.details).toEqual({ reason: "damaged" });
    expect(error.message).toContain("file is not a database");
    expect(error.message).toContain(".recover");
    expect(contentsOf(folder)).toEqual(before);
  });

  it("refuses a truncated file, and leaves it untouched", async () => {
    const folder = newFolder();
    const path = join(folder, "castellan.db");
    await filled(path);
    truncateSync(path, 8192);
    const before = contentsOf(folder);
    expect((await openError(path)).details).toEqual({ reason: "damaged" });
    expect(contentsOf(folder)).toEqual(before);
  });

  it("reports damage on the pages it hits, and serves the rest", async () => {
    const path = join(newFolder(), "castellan.db");
    await filled(path);
    using tool = new DatabaseSync(path);
    const root = Number(tool.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'turns'").get()?.["rootpage"]);
    tool.close();
    writeSync(openSync(path, "r+"), new Uint8Array(4096).fill(7), 0, 4096, (root - 1) * 4096);
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    expect((await errorOf(journal.turn("t100"))).details).toEqual({ reason: "damaged" });
    const written = await errorOf(journal.write(accepting(1, turn("new"))));
    expect(written.details).toEqual({ reason: "damaged", applied: false });
    const session = { key: '"a"', supervisor: "s", conversationId: "c", memory: {}, savedAt: 1 };
    await journal.write({ number: 1, changes: [{ type: "session_saved", session }], durable: true });
    expect(await journal.sessions(['"a"'])).toEqual([session]);
    await journal.close();
  });
});

describe("sqliteJournal at a path that leads to no file", () => {
  it("refuses a folder, a path below a file, a socket, a NUL byte and a path in /proc as unreachable", async () => {
    const folder = newFolder();
    writeFileSync(join(folder, "file"), "");
    const server = createServer().listen(join(folder, "socket"));
    await once(server, "listening");
    const paths = [folder, join(folder, "file", "castellan.db"), join(folder, "file", "deep", "castellan.db")];
    for (const path of [...paths, join(folder, "socket"), join(folder, "\0"), "/proc/castellan/castellan.db"]) {
      expect([path, (await openError(path)).details]).toEqual([path, { reason: "unreachable" }]);
    }
    expect(readdirSync(folder)).toEqual(["file", "socket"]);
    server.close();
  });
});

describe("sqliteJournal without leave to write", () => {
  const denials: { readonly [what: string]: (folder: string) => void } = {
    folder: (folder) => chmodSync(folder, 0o500),
    file: (folder) => chmodSync(join(folder, "castellan.db"), 0o400),
    "unreadable file": (folder) => chmodSync(join(folder, "castellan.db"), 0o000),
    "lock file": (folder) => chmodSync(join(folder, "castellan.db-owner"), 0o400),
  };
  for (const [what, deny] of Object.entries(denials)) {
    it(`refuses a read-only ${what}, run by a user other than root`, async () => {
      const folder = newFolder();
      const path = join(folder, "castellan.db");
      await filled(path);
      if (NOBODY !== undefined) {
        for (const file of [folder, ...readdirSync(folder).map((name) => join(folder, name))]) {
          chownSync(file, NOBODY, NOBODY);
        }
      }
      deny(folder);
      await using application = new Application(path, { uid: NOBODY });
      const answer = await application.order({ do: "open" });
      expect(answer?.error?.details).toEqual({ reason: "read_only" });
      expect(answer?.error?.message).toContain(path);
    });
  }

  it("refuses a folder that it may not create, run by a user other than root", async () => {
    const folder = newFolder();
    chmodSync(folder, 0o555);
    await using application = new Application(join(folder, "new", "castellan.db"), { uid: NOBODY });
    expect((await application.order({ do: "open" }))?.error?.details).toEqual({ reason: "read_only" });
  });

  it.skipIf(!canMount)("refuses a read-only file system until it is writable again", async () => {
    const folder = newFolder();
    const path = join(folder, "castellan.db");
    const within = withMounts(`mount -t tmpfs tmpfs ${folder} && mount -o remount,ro ${folder}`);
    await using application = new Application(path, { within });
    const refused = await application.order({ do: "open" });
    expect(refused?.error?.details).toEqual({ reason: "read_only" });
    await application.order({ do: "run", command: ["mount", "-o", "remount,rw", folder] });
    expect(await application.order({ do: "open" })).toEqual({});
  });

  it.skipIf(!canMount)("refuses to reopen on a file system that became read-only in between", async () => {
    const folder = newFolder();
    const within = withMounts(`mount -t tmpfs tmpfs ${folder} && mkdir ${folder}/a ${folder}/b`);
    const path = join(folder, "a", "castellan.db");
    await using application = new Application(path, { within });
    expect(await application.order({ do: "open" })).toEqual({});
    expect(await application.order({ do: "close" })).toEqual({});
    await application.order({ do: "run", command: ["mount", "-o", "remount,ro", folder] });
    const refused = await application.order({ do: "open" });
    expect(refused?.error?.details).toEqual({ reason: "read_only" });
  });
});

describe("sqliteJournal on a full disk", () => {
  const big = (number: number) => accepting(number, turn(`t${number}`, { prompt: "x".repeat(20_000) }));

  it.skipIf(!canMount)("refuses what does not fit, loses nothing, and writes again once there is room", async () => {
    const folder = newFolder();
    const within = withMounts(`mount -t tmpfs -o size=4m tmpfs ${folder}`);
    await using application = new Application(join(folder, "castellan.db"), { within });
    await application.order({ do: "open" });
    await application.order({
      do: "run",
      command: ["dd", "if=/dev/zero", `of=${folder}/ballast`, "bs=1k", "count=3600"],
    });
    let number = 1;
    for (;;) {
      const answer = await application.order({ do: "write", batch: big(number) });
      if (answer?.error === undefined) number += 1;
      else {
        expect(answer.error.details).toEqual({ reason: "no_space", applied: false });
        break;
      }
    }
    expect(number).toBeGreaterThan(2);
    const again = await application.order({ do: "write", batch: big(number) });
    expect(again?.error?.details).toEqual({ reason: "no_space", applied: false });
    await application.order({ do: "run", command: ["rm", `${folder}/ballast`] });
    expect(await application.order({ do: "write", batch: big(number) })).toEqual({});
    await application.order({ do: "close" });
    await application.order({ do: "open" });
    const turns = Array.from({ length: number }, (_, index) => `t${index + 1}`);
    expect(await application.order({ do: "find", turns })).toEqual({ value: turns });
  });

  it.skipIf(!canMount)("writes again after a checkpoint that the full disk cut short, and loses nothing", async () => {
    const folder = newFolder();
    const path = join(folder, "castellan.db");
    await using disk = await PrivateDisk.at(folder, "size=16m");
    await using application = new Application(path, { within: disk.within });
    await application.order({ do: "open" });
    const write = (number: number) => application.order({ do: "write", batch: big(number) });
    const turns: string[] = [];
    // The log grows to just below the size at which it is copied into the main file, which then has no room to grow.
    for (let number = 1; number <= 160; number += 1) {
      expect(await write(number)).toEqual({});
      turns.push(`t${number}`);
    }
    disk.run("sh", "-c", `cat /dev/zero > ${folder}/ballast || true; truncate -s -1M ${folder}/ballast`);
    for (let number = 161; ; number += 1) {
      const answer = await write(number);
      if (answer?.error !== undefined) {
        expect(answer.error.details).toEqual({ reason: "no_space", applied: false });
        break;
      }
      turns.push(`t${number}`);
    }
    disk.run("rm", `${folder}/ballast`);
    const more = turns.length + 1;
    expect(await write(more)).toEqual({});
    await application.kill();
    await using next = new Application(path, { within: disk.within });
    await next.order({ do: "open" });
    expect(await next.order({ do: "find", turns: [...turns, `t${more}`] })).toEqual({ value: [...turns, `t${more}`] });
  });

  it.skipIf(!canMount)("opens and reads without room, and writes once there is some", async () => {
    const folder = newFolder();
    const path = join(folder, "castellan.db");
    await using disk = await PrivateDisk.at(folder, "size=2m");
    const options = { within: disk.within };
    const before = new Application(path, options);
    await before.order({ do: "open" });
    for (let number = 1; number <= 3; number += 1) {
      expect(await before.order({ do: "write", batch: big(number) })).toEqual({});
    }
    await before.kill();
    const turns = ["t1", "t2", "t3"];
    for (const state of ["as it was left", "with nothing in the log"]) {
      disk.run("rm", "-f", `${path}-shm`);
      disk.run("sh", "-c", `cat /dev/zero > ${folder}/ballast || true`);
      await using application = new Application(path, options);
      expect(await application.order({ do: "open" })).toEqual({});
      expect(await application.order({ do: "unwritable" })).toEqual({ value: "no_space" });
      expect([state, await application.order({ do: "find", turns: [...turns, "t4"] })]).toEqual([
        state,
        { value: turns },
      ]);
      const refused = await application.order({ do: "write", batch: accepting(1, turn("t4")) });
      expect(refused?.error?.details).toEqual({ reason: "no_space", applied: false });
      expect(await application.order({ do: "find", turns })).toEqual({ value: turns });
      // The application owns the journal nevertheless.
      await using other = new Application(path, options);
      expect((await other.order({ do: "open" }))?.error?.code).toBe("JOURNAL_IN_USE");
      disk.run("rm", `${folder}/ballast`);
      expect(await application.order({ do: "write", batch: accepting(1, turn(`later, ${state}`)) })).toEqual({});
      expect(await application.order({ do: "unwritable" })).toEqual({});
      turns.push(`later, ${state}`);
      expect(await application.order({ do: "find", turns })).toEqual({ value: turns });
      expect(await application.order({ do: "close" })).toEqual({});
    }
  });

  it.skipIf(!canMount)("opens without room to create anything, and creates the file once there is some", async () => {
    const folder = newFolder();
    const path = join(folder, "new", "castellan.db");
    await using disk = await PrivateDisk.at(folder, "size=64k");
    disk.run("sh", "-c", `cat /dev/zero > ${folder}/ballast || true`);
    await using application = new Application(path, { within: disk.within });
    for (const room of [0, 4, 8, 12]) {
      disk.run("truncate", "-s", `${64 - room}k`, `${folder}/ballast`);
      expect([room, await application.order({ do: "open" })]).toEqual([room, {}]);
      expect(await application.order({ do: "find", turns: ["t1"] })).toEqual({ value: [] });
      const refused = await application.order({ do: "write", batch: accepting(1, turn("t1")) });
      expect([room, refused?.error?.details]).toEqual([room, { reason: "no_space", applied: false }]);
      if (room < 8) await application.order({ do: "close" });
    }
    disk.run("mount", "-o", "remount,size=1m", folder);
    expect(await application.order({ do: "write", batch: accepting(1, turn("t1")) })).toEqual({});
    expect(await application.order({ do: "find", turns: ["t1"] })).toEqual({ value: ["t1"] });
  });

  it("reports no_space when SQLite itself says that the database is full", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite }, { migrations: [...MIGRATIONS, "PRAGMA max_page_count = 80"] });
    await journal.open(OWNER);
    let number = 1;
    const full = await errorOf(
      (async () => {
        for (; ; number += 1) await journal.write(big(number));
      })(),
    );
    expect(full.details).toEqual({ reason: "no_space", applied: false });
    await journal.write({ number, changes: [{ type: "turn_withdrawn", turn: "t1" }], durable: false });
    await journal.write(big(number + 1));
    expect(await journal.turn(`t${number + 1}`)).toBeDefined();
    await journal.close();
  });

  it("leaves open whether a batch was written when the system does not say what went wrong", async () => {
    const path = join(newFolder(), "castellan.db");
    await using application = new Application(path, { within: ["sh", "-c", 'ulimit -S -f 800 && exec "$@"', "sh"] });
    await application.order({ do: "open" });
    let number = 1;
    for (;;) {
      const answer = await application.order({ do: "write", batch: big(number) });
      if (answer?.error === undefined) number += 1;
      else {
        expect(answer.error.details).toEqual({ reason: "failed" });
        break;
      }
    }
    const lifted = ["prlimit", "--pid", String(application.pid), "--fsize=unlimited"];
    await application.order({ do: "run", command: lifted });
    expect(await application.order({ do: "write", batch: big(number) })).toEqual({});
    expect(await application.order({ do: "write", batch: big(number) })).toEqual({});
    const turns = Array.from({ length: number }, (_, index) => `t${index + 1}`);
    expect(await application.order({ do: "find", turns })).toEqual({ value: turns });
  });
});

describe("sqliteJournal when its file changes under it", () => {
  /** Of these, 49 are copied into the file while nobody writes, and 147 at once. */
  const large = (number: number) => turn(`t${number}`, { prompt: "x".repeat(80_000) });

  it("refuses to write when its folder is moved away, and writes again when it is back", async () => {
    const folder = join(newFolder(), "data");
    const path = join(folder, "castellan.db");
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t1")));
    renameSync(folder, `${folder}-away`);
    const error = await errorOf(journal.write(accepting(2, turn("t2"))));
    expect(error.details).toEqual({ reason: "unreachable", applied: false });
    expect(error.message).toContain("deleted");
    renameSync(`${folder}-away`, folder);
    await journal.write(accepting(2, turn("t2")));
    expect(await journal.turn("t2")).toBeDefined();
    await journal.close();
  });

  it("refuses to write when another journal stands at its path", async () => {
    const folder = join(newFolder(), "data");
    const path = join(folder, "castellan.db");
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    rmSync(folder, { recursive: true });
    const other = sqliteJournal({ sqlite: path });
    await other.open({ ...OWNER, id: "other" });
    const error = await errorOf(journal.write(accepting(1, turn("t1"))));
    expect([error.code, error.details]).toEqual(["JOURNAL_UNAVAILABLE", { reason: "unreachable", applied: false }]);
    await other.write(accepting(1, turn("t2")));
    await journal.close();
    await other.close();
  });

  for (const [what, parts] of Object.entries({ "the file": [""], "all files": ["", "-wal", "-shm"] })) {
    it(`refuses to write when a copy of itself stands at its path: ${what}`, async () => {
      const path = join(newFolder(), "castellan.db");
      const journal = sqliteJournal({ sqlite: path });
      await journal.open(OWNER);
      for (let number = 1; number <= 100; number += 1) await journal.write(accepting(number, large(number)));
      for (const part of parts) {
        copyFileSync(path + part, `${path}.copy`);
        renameSync(`${path}.copy`, path + part);
      }
      const error = await errorOf(journal.write(accepting(101, large(101))));
      expect(error.details).toEqual({ reason: "unreachable", applied: false });
      expect(error.message).toContain("the file was replaced by another file while it was open. Put it back, or");
      await journal.close();
    });
  }

  for (const part of ["-wal", "-shm"]) {
    it(`reports a deleted ${part} file once, saves its content, and continues`, async () => {
      const path = join(newFolder(), "castellan.db");
      await using application = new Application(path);
      await application.order({ do: "open" });
      const write = (number: number) => application.order({ do: "write", batch: accepting(number, large(number)) });
      for (let number = 1; number <= 70; number += 1) expect(await write(number)).toEqual({});
      rmSync(path + part);
      const error = (await write(71))?.error;
      expect(error?.details).toEqual({ reason: "unreachable", applied: false });
      expect(error?.message).toContain(
        `its ${part} file was deleted while it was open. Nothing is lost, and the journal recovers`,
      );
      for (let number = 71; number <= 75; number += 1) expect(await write(number)).toEqual({});
      await application.kill();
      await using next = new Application(path);
      await next.order({ do: "open" });
      const turns = Array.from({ length: 75 }, (_, index) => `t${index + 1}`);
      expect(await next.order({ do: "find", turns })).toEqual({ value: turns });
    });
  }

  const damage: { readonly [what: string]: (file: number) => void } = {
    "its headers": (file) => writeSync(file, new Uint8Array(96).fill(7), 0, 96, 0),
    "its list of pages": (file) => writeSync(file, new Uint8Array(4_000).fill(7), 0, 4_000, 136),
    "its index": (file) => writeSync(file, new Uint8Array(16_384), 0, 16_384, 16_384),
  };
  for (const [what, spoil] of Object.entries(damage)) {
    it(`loses nothing when its -shm file is damaged: ${what}`, async () => {
      const path = join(newFolder(), "castellan.db");
      await using application = new Application(path);
      await application.order({ do: "open" });
      const write = (number: number) => application.order({ do: "write", batch: accepting(number, large(number)) });
      for (let number = 1; number <= 70; number += 1) expect(await write(number)).toEqual({});
      const file = openSync(`${path}-shm`, "r+");
      spoil(file);
      closeSync(file);
      const refused = (await write(71))?.error;
      if (refused !== undefined) expect(refused.details).toEqual({ reason: "unreachable", applied: false });
      for (let number = 71; number <= 75; number += 1) expect(await write(number)).toEqual({});
      await application.kill();
      await using next = new Application(path);
      await next.order({ do: "open" });
      const turns = Array.from({ length: 75 }, (_, index) => `t${index + 1}`);
      expect(await next.order({ do: "find", turns })).toEqual({ value: turns });
    });
  }

  it("writes nothing more once its log is damaged, and says so", async () => {
    const path = join(newFolder(), "castellan.db");
    await using application = new Application(path);
    await application.order({ do: "open" });
    const write = (number: number) => application.order({ do: "write", batch: accepting(number, large(number)) });
    // Fewer than are copied into the file while nobody writes; after that, nothing would be lost.
    for (let number = 1; number <= 40; number += 1) expect(await write(number)).toEqual({});
    truncateSync(`${path}-wal`, 100_000);
    for (let tried = 0; tried < 3; tried += 1) {
      const error = (await write(41))?.error;
      expect(error?.details).toEqual({ reason: "damaged", applied: false });
      expect(error?.message).toContain(
        "the last writes were destroyed while the file was open. The journal accepts no more writes.",
      );
    }
  });

  it("leaves a backup that was copied over it untouched", async () => {
    const path = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    for (let number = 1; number <= 40; number += 1) await journal.write(accepting(number, large(number)));
    using tool = new DatabaseSync(path, { readOnly: true });
    tool.exec(`VACUUM INTO '${path}.backup'`);
    tool.close();
    for (let number = 41; number <= 80; number += 1) await journal.write(accepting(number, large(number)));
    const backup = readFileSync(`${path}.backup`);
    copyFileSync(`${path}.backup`, path);
    const error = await errorOf(journal.write(accepting(81, large(81))));
    expect(error.details).toEqual({ reason: "damaged", applied: false });
    expect(error.message).toContain(`another program has overwritten the file while it was open`);
    expect(error.message).toContain(`${path}-wal-saved`);
    await journal.close();
    expect(readFileSync(path).equals(backup)).toBe(true);
  });

  it("rejects with NOT_OWNER when another owner is recorded in it", async () => {
    const journal = sqliteJournal({ sqlite: join(newFolder(), "castellan.db") });
    await journal.open(OWNER);
    using tool = new DatabaseSync(journal.location);
    tool.exec("UPDATE owner SET id = 'somebody else'");
    const error = await errorOf(journal.write(accepting(1, turn("t1"))));
    expect(error.code).toBe("NOT_OWNER");
    expect(await journal.turn("t1")).toBeUndefined();
    await journal.close();
  });
});
