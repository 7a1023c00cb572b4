import { once } from "node:events";
import { mkdirSync, symlinkSync, unlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { Application } from "./sqlite-application.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "./sqlite-scene.ts";

/** A clock on which every wait ends at once. */
function hastyClock(): Clock {
  let time = 0;
  return {
    now: () => time,
    monotonic: () => time,
    schedule: (ms, callback) => {
      time += ms;
      const handle = setImmediate(callback);
      return { cancel: () => clearImmediate(handle) };
    },
  };
}

const newPath = (): string => join(newFolder(), "castellan.db");

describe("ownership of a SQLite journal", () => {
  it("refuses other applications with JOURNAL_IN_USE, which names the owner", async () => {
    const path = newPath();
    await using first = new Application(path);
    await first.order({ do: "open" });
    const error = await errorOf(sqliteJournal({ sqlite: path }).open(OWNER));
    expect(error.code).toBe("JOURNAL_IN_USE");
    const { pid, host, startedAt } = error.details as { pid: number; host: string; startedAt: number };
    expect([pid, host]).toEqual([first.pid, hostname()]);
    expect(Math.abs(Date.now() - startedAt)).toBeLessThan(60_000);
    expect(error.message).toContain(`${path} belongs to process ${pid} on ${host}`);
    expect(error.message).toContain(new Date(startedAt).toISOString());
  });

  it("passes to the next application when the owner closes it", async () => {
    const path = newPath();
    await using first = new Application(path);
    await using second = new Application(path);
    await first.order({ do: "open" });
    expect((await second.order({ do: "open" }))?.error?.code).toBe("JOURNAL_IN_USE");
    await first.order({ do: "close" });
    expect(await second.order({ do: "open" })).toEqual({});
    expect((await first.order({ do: "open" }))?.error?.details).toMatchObject({ pid: second.pid });
  });

  it("opens in the thread of an attempt that was refused", async () => {
    const path = newPath();
    await using owner = new Application(path);
    await owner.order({ do: "open" });
    let threads = 0;
    const count = (): void => void threads++;
    process.on("worker", count);
    onTestFinished(() => void process.off("worker", count));
    const journal = sqliteJournal({ sqlite: path });
    expect((await errorOf(journal.open(OWNER))).code).toBe("JOURNAL_IN_USE");
    expect((await errorOf(journal.open(OWNER))).code).toBe("JOURNAL_IN_USE");
    await owner.order({ do: "close" });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t1")));
    expect(threads).toBe(1);
    await journal.close();
  });

  it("keeps one thread of several attempts that are refused at once", async () => {
    const path = newPath();
    await using owner = new Application(path);
    await owner.order({ do: "open" });
    const ended: Promise<unknown>[] = [];
    const count = (worker: Worker): void => void ended.push(once(worker, "exit"));
    process.on("worker", count);
    onTestFinished(() => void process.off("worker", count));
    const journal = sqliteJournal({ sqlite: path });
    const refused = await Promise.all([1, 2, 3].map(() => errorOf(journal.open(OWNER))));
    expect(refused.map(({ code }) => code)).toEqual(Array(3).fill("JOURNAL_IN_USE"));
    await journal.close();
    expect(ended.length).toBe(3);
    await Promise.all(ended);
  });

  it("goes to exactly one of several applications that open it at once", async () => {
    const path = newPath();
    const applications = Array.from({ length: 3 }, () => new Application(path));
    onTestFinished(async () => void (await Promise.all(applications.map((one) => one.kill()))));
    for (let round = 0; round < 3; round += 1) {
      const answers = await Promise.all(applications.map((one) => one.order({ do: "open" })));
      const winner = answers.findIndex((answer) => answer?.error === undefined);
      const refusals = answers.filter((_, index) => index !== winner).map((answer) => answer?.error);
      for (const refusal of refusals) {
        expect([refusal?.code, refusal?.details["pid"]]).toEqual(["JOURNAL_IN_USE", applications[winner]?.pid]);
      }
      // The next round starts with the leftovers of a dead owner.
      await applications[winner]?.kill();
      applications[winner] = new Application(path);
    }
  });

  it("is released when the owner is killed, with every acknowledged write in the file", async () => {
    const path = newPath();
    for (const last of [1, 30, 300]) {
      const application = new Application(path);
      await application.order({ do: "open" });
      const enough = Promise.withResolvers<void>();
      const written = Array.from({ length: last + 200 }, async (_, index) => {
        const id = `${last}-${index + 1}`;
        const answer = await application.order({ do: "write", batch: accepting(index + 1, turn(id)) });
        if (index + 1 === last) enough.resolve();
        return answer === undefined ? [] : [id];
      });
      await enough.promise;
      await application.kill();
      const acknowledged = (await Promise.all(written)).flat();
      expect(acknowledged.length).toBeGreaterThanOrEqual(last);
      const journal = sqliteJournal({ sqlite: path });
      await journal.open(OWNER);
      const found = await Promise.all(acknowledged.map((id) => journal.turn(id)));
      expect(found.map((entry) => entry?.id)).toEqual(acknowledged);
      await journal.close();
    }
  });

  it("is released when the owner is killed although its child lives on", async () => {
    const path = newPath();
    const application = new Application(path);
    await application.order({ do: "open" });
    const child = Number((await application.order({ do: "spawn", command: ["tail", "-f", "/dev/null"] }))?.value);
    onTestFinished(() => void process.kill(child, "SIGKILL"));
    await application.kill();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    await journal.close();
    expect(process.kill(child, 0)).toBe(true);
  });
});

describe("a SQLite journal opened twice in one process", () => {
  it("is refused with JOURNAL_IN_USE by any path to the file", async () => {
    const folder = newFolder();
    const path = join(folder, "data", "castellan.db");
    const first = sqliteJournal({ sqlite: path });
    await first.open(OWNER);
    onTestFinished(() => first.close());
    symlinkSync(join(folder, "data"), join(folder, "folder-link"));
    symlinkSync(path, join(folder, "file-link.db"));
    const ways = [path, join(folder, "folder-link", "castellan.db"), join(folder, "file-link.db")];
    for (const sqlite of [...ways, relative(process.cwd(), path)]) {
      const error = await errorOf(sqliteJournal({ sqlite }).open({ ...OWNER, id: "another" }));
      expect([error.code, error.details]).toMatchObject(["JOURNAL_IN_USE", { pid: process.pid }]);
    }
    // Closing a file drops the process's locks on it, so the refused opens could have freed the journal.
    await using stranger = new Application(path);
    expect((await stranger.order({ do: "open" }))?.error?.code).toBe("JOURNAL_IN_USE");
    await first.write(accepting(1, turn("t")));
    expect(await first.turn("t")).toBeDefined();
  });

  it("is refused while a thread owns it, and free once the thread has ended", async () => {
    const path = newPath();
    const module = new URL("../../src/journal/sqlite/sqlite-journal.ts", import.meta.url).href;
    const worker = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads");
      parentPort.on("message", () => {});
      import(workerData.module).then(async ({ sqliteJournal }) => {
        // The collector closes what is unreachable.
        globalThis.journal = sqliteJournal({ sqlite: workerData.path });
        await globalThis.journal.open(workerData.owner);
        parentPort.postMessage("open");
      });`,
      { eval: true, workerData: { path, module, owner: { ...OWNER, id: "thread" } } },
    );
    await new Promise((resolve) => worker.once("message", resolve));
    const journal = sqliteJournal({ sqlite: path });
    expect((await errorOf(journal.open(OWNER))).code).toBe("JOURNAL_IN_USE");
    await worker.terminate();
    await journal.open(OWNER);
    await journal.close();
  });
});

describe("the lock of a SQLite journal", () => {
  it("decides ownership, not the owner's row that a dead process left", async () => {
    const path = newPath();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    await journal.close();
    using tool = new DatabaseSync(path);
    // A pid that another process has by now.
    tool.exec(`INSERT INTO owner VALUES (1, 'dead', ${process.pid}, '${hostname()}', 1, 9)`);
    tool.close();
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t")));
    expect(await journal.turn("t")).toBeDefined();
    await journal.close();
  });

  it("is waited for a little, then refused with JOURNAL_IN_USE, when its holder is unknown", async () => {
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    using holder = new DatabaseSync(`${path}-owner`);
    holder.exec("BEGIN EXCLUSIVE");
    const journal = sqliteJournal({ sqlite: path }, { clock: hastyClock() });
    const error = await errorOf(journal.open(OWNER));
    expect([error.code, error.details]).toEqual(["JOURNAL_IN_USE", { pid: 0, host: "", startedAt: 0 }]);
    expect(error.message).toContain(`${path}-owner`);
    holder.exec("ROLLBACK");
    await journal.open(OWNER);
    await journal.close();
  });

  it("moves to the next application if its file is deleted, and the first owner's writes reject with NOT_OWNER", async () => {
    const path = newPath();
    await using first = new Application(path);
    await first.order({ do: "open" });
    unlinkSync(`${path}-owner`);
    const second = sqliteJournal({ sqlite: path });
    await second.open(OWNER);
    await second.write(accepting(1, turn("t2")));
    const answer = await first.order({ do: "write", batch: accepting(1, turn("t1")) });
    expect(answer?.error?.code).toBe("NOT_OWNER");
    expect(await second.turn("t1")).toBeUndefined();
    await second.close();
  });
});
