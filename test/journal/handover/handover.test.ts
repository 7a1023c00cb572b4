import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { CastellanError } from "../../../src/errors.ts";
import { Channel } from "../../../src/journal/handover/channel.ts";
import { unixConnections } from "../../../src/journal/handover/connections.ts";
import { HANDOVER_PROTOCOL, Handover } from "../../../src/journal/handover/handover.ts";
import { BorrowedWriting } from "../../../src/journal/handover/journal-calls.ts";
import { Loans } from "../../../src/journal/handover/loans.ts";
import { MovableJournal } from "../../../src/journal/handover/movable-journal.ts";
import { makePrivate, socketOf } from "../../../src/journal/handover/place.ts";
import { fileReservations } from "../../../src/journal/handover/reservation.ts";
import { JournalWriter } from "../../../src/journal/journal-writer.ts";
import { memoryJournal } from "../../../src/journal/memory/memory-journal.ts";
import type { Batch, Change } from "../../../src/journal/model/change.ts";
import type { JournalOwner } from "../../../src/journal/model/journal.ts";
import { openSharedJournal } from "../../../src/journal/shared-journal.ts";
import { sqliteJournal } from "../../../src/journal/sqlite/sqlite-journal.ts";
import { MIGRATIONS } from "../../../src/journal/sqlite/sqlite-schema.ts";
import { isAlive } from "../../../src/live-process.ts";
import { SimulatedClock } from "../../../src/testing/simulated-clock.ts";

const OTHER = { pid: process.ppid, startedAt: 7, host: hostname() };

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "handover-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** An application that owns a journal in a file, with one supervisor that still has the session `kept`. */
async function owner(sqlite: string, kept: readonly string[] = [], reach: () => void = () => {}) {
  const own = sqliteJournal({ sqlite });
  const journal = new MovableJournal(own);
  const self: JournalOwner = { id: "owner", pid: process.pid, host: hostname(), startedAt: 1 };
  const connections = unixConnections(own, self);
  const deps = {
    reservations: fileReservations(own, systemClock),
    clock: systemClock,
    journal,
    own,
    owner: self,
    connections,
    isAlive,
    loans: new Loans(),
    deadlineMs: 5_000,
  };
  const handover = new Handover(deps);
  await journal.open(self);
  const writer = new JournalWriter(journal, { clock: systemClock, random: () => 0.5 });
  await handover.begin(writer);
  const told: string[] = [];
  const resumed = Promise.withResolvers<void>();
  handover.join({
    prepare: async () => {},
    yield: () => {
      told.push("yield");
      return kept;
    },
    resume: () => {
      told.push("resume");
      resumed.resolve();
    },
    lend: () => told.push("lend"),
    reach: () => {
      told.push("reach");
      reach();
    },
  });
  onTestFinished(async () => {
    await writer.close(1_000);
    await handover.close();
    await journal.close();
  });
  const path = socketOf(own, self) ?? "";
  const dial = async (): Promise<Channel> => {
    const socket = connect(path);
    await once(socket, "connect");
    const channel = new Channel(socket, async () => ({}));
    onTestFinished(() => channel.close());
    await channel.call("hello", HANDOVER_PROTOCOL);
    return channel;
  };
  return { own, journal, writer, handover, told, resumed: resumed.promise, dial, self };
}

/** An application that opens the journal without an offer. */
async function openedBy(self: JournalOwner, sqlite: string) {
  const own = sqliteJournal({ sqlite });
  await own.open(self);
  onTestFinished(() => own.close());
  const loans = new Loans();
  const opener = new Handover({
    ...{ clock: systemClock, journal: new MovableJournal(own), own, owner: self, loans, deadlineMs: 5_000, isAlive },
    connections: unixConnections(own, self),
    reservations: fileReservations(own, systemClock),
  });
  await opener.begin(new JournalWriter(own, { clock: systemClock, random: () => 0.5 }));
  onTestFinished(() => opener.close());
  return { own, loans, opener };
}

const event = (session: string, number: number): Change => ({
  type: "event_appended",
  event: { session, number, at: number, type: "noted", body: {} },
});

describe("Handover", () => {
  test("offers the journal closed, and takes it back from a taker that dies without opening it", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { dial, told, resumed, writer, journal } = await owner(sqlite);
    const taker = await dial();
    expect(await taker.call("take", "taker")).toEqual({ id: "owner", pid: process.pid, lent: [] });
    const next = sqliteJournal({ sqlite });
    await next.open({ ...OTHER, id: "taker" });
    await next.close();
    const written = writer.write([event("s", 1)]);
    taker.close();
    await resumed;
    await written;
    expect(told).toEqual(["yield", "resume"]);
    expect((await journal.eventExtent("s"))?.last).toBe(1);
  });

  test("keeps the closed journal for the taker, and from an application that comes by", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { dial, told } = await owner(sqlite);
    const taker = await dial();
    await taker.call("take", "taker");
    const make = () => sqliteJournal({ sqlite });
    const terms = { maxAgeMs: 0, maxTurns: 0, maxEvents: 0, maxEventBytes: 0, keepsTranscripts: false };
    const deps = { clock: systemClock, newId: () => "passer-by", random: () => 0.5 };
    const opening = openSharedJournal("passer-by", make, { ...terms, waitForOwnerMs: 0 }, deps);
    await expect(opening).rejects.toMatchObject({ code: "JOURNAL_IN_USE", details: { pid: process.pid } });
    const patient = openSharedJournal("patient", make, { ...terms, waitForOwnerMs: 20_000 }, deps);
    const next = make();
    await next.open({ ...OTHER, id: "taker" });
    await taker.call("taken", "taker", 5_000);
    expect(told).toContain("lend");
    await next.close();
    await (await patient).release();
  });

  test("takes an application that looks at a reservation for none", async () => {
    const own = sqliteJournal({ sqlite: join(await folder(), "castellan.db") });
    const clock = new SimulatedClock();
    const reservations = fileReservations(own, clock);
    const looked = await reservations.reserve();
    const looking = reservations.held();
    await expect.poll(() => clock.timers).toBe(1);
    looked?.close();
    await clock.advance(10);
    expect(await looking).toBeUndefined();
    const lasting = await reservations.reserve();
    const refused = reservations.held();
    for (let waits = 0; waits < 2; waits++) {
      await expect.poll(() => clock.timers).toBe(1);
      await clock.advance(10);
    }
    expect(await refused).toMatchObject({ code: "JOURNAL_IN_USE" });
    lasting?.close();
  });

  test("does not believe in a reservation of a database in a folder that other users can open", async () => {
    const shared = await folder();
    vi.stubEnv("TMPDIR", shared);
    onTestFinished(() => void vi.unstubAllEnvs());
    const own = Object.assign(sqliteJournal({ sqlite: "unused.db" }), { kind: "postgres" as const });
    const reservations = fileReservations(own, systemClock);
    const place = join(shared, `castellan-${process.getuid?.()}`);
    await mkdir(place, { mode: 0o700 });
    const reserved = await reservations.reserve();
    expect(await reservations.held()).toMatchObject({ code: "JOURNAL_IN_USE" });
    await chmod(place, 0o777);
    expect(await reservations.held()).toBeUndefined();
    expect(await reservations.reserve()).toBeUndefined();
    reserved?.close();
  });

  test("declines a second taker, and one that comes before a lent session is returned", async () => {
    const { dial, handover } = await owner(join(await folder(), "castellan.db"));
    const [first, second] = [await dial(), await dial()];
    handover.loans.lend(["s"], "earlier");
    await expect(first.call("take", "first")).rejects.toThrow("keeps the journal");
    handover.loans.end("earlier");
    await first.call("take", "first");
    await expect(second.call("take", "second")).rejects.toThrow("keeps the journal");
  });

  test("writes what is pending before it offers, and what comes later through the taker", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { dial, writer, told } = await owner(sqlite, ["s"]);
    const before = writer.record([event("s", 1)]);
    const batches: Batch[] = [];
    const socketed = await dial();
    const offer = await socketed.call("take", "taker");
    await before;
    expect(offer).toMatchObject({ lent: ["s"] });
    const later = writer.record([event("s", 2)], { session: "s" });
    socketed.onCall = async (method, [first]) => {
      if (method === "write") batches.push(first as Batch);
      return {};
    };
    await socketed.call("taken", "taker", 5_000);
    await later;
    expect(batches.map(({ changes, sessions }) => ({ changes, sessions }))).toEqual([
      { changes: [event("s", 2)], sessions: ["s"] },
    ]);
    expect(told.slice(0, 2)).toEqual(["yield", "lend"]);
  });

  test.each([
    [
      "speaks another protocol",
      (channel: Channel) =>
        (channel.onCall = async () => {
          throw new Error("other");
        }),
    ],
    ["ends the connection", (channel: Channel) => channel.close()],
  ])("does not get a journal from an owner that %s", async (_, behave) => {
    const sqlite = join(await folder(), "castellan.db");
    const { handover, own } = await owner(sqlite);
    const path = socketOf(own, OTHER) ?? "";
    makePrivate(path);
    const server = createServer((socket) => {
      behave(new Channel(socket, async () => ({})));
    });
    server.listen(path);
    await once(server, "listening");
    onTestFinished(() => void server.close());
    expect(await handover.ask(OTHER, 1_000)).toBe(false);
  });

  test("goes on through a taker that has migrated the journal when the connection to it breaks", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { own, dial, writer, told, handover } = await owner(sqlite, ["s"]);
    const path = socketOf(own, OTHER) ?? "";
    makePrivate(path);
    const joined = Promise.withResolvers<unknown[]>();
    const batches: unknown[] = [];
    const server = createServer((socket) => {
      new Channel(socket, async (method, args) => {
        if (method === "rejoin") joined.resolve([...args]);
        if (method === "rejoin") return { id: "taker", lent: ["s"] };
        if (method === "write") batches.push(args);
        return method === "hello" ? HANDOVER_PROTOCOL : {};
      });
    });
    server.listen(path);
    onTestFinished(() => void server.close());
    const taker = await dial();
    await taker.call("take", "taker", OTHER.pid, OTHER.startedAt);
    const next = sqliteJournal({ sqlite }, { migrations: [...MIGRATIONS, "CREATE TABLE later (a)"] });
    await next.open({ ...OTHER, id: "taker" });
    onTestFinished(() => next.close());
    await taker.call("taken", "taker", 5_000);
    taker.close();
    expect(await joined.promise).toEqual(["owner", process.pid, ["s"]]);
    await expect.poll(() => handover.state).toBe("lending");
    await writer.write([event("s", 1)], { session: "s" });
    expect(batches).toHaveLength(1);
    expect(told).not.toContain("resume");
  });

  test("lets an owner finish its sessions that another application was offered the journal of", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { dial, told, writer, journal } = await owner(sqlite, ["s"]);
    // It is offered the journal, and never opens it.
    await (await dial()).call("take", "taker");
    const { own, loans, opener } = await openedBy({ ...OTHER, id: "opener" }, sqlite);
    expect([loans.isLentTo("s", "owner"), opener.wasOffered]).toEqual([true, true]);
    await writer.write([event("s", 1)], { session: "s" });
    expect([(await own.eventExtent("s"))?.last, (await journal.eventExtent("s"))?.last]).toEqual([1, 1]);
    expect(told.slice(0, 2)).toEqual(["yield", "lend"]);
  });

  test("writes through the application that has opened the journal what a taker that stands still does not answer", async () => {
    const sqlite = join(await folder(), "castellan.db");
    const { dial, writer } = await owner(sqlite, ["s"]);
    const taker = await dial();
    const asked = Promise.withResolvers<void>();
    taker.onCall = async (method) => {
      if (method !== "write") return {};
      asked.resolve();
      return await new Promise(() => {});
    };
    await taker.call("take", "taker");
    await taker.call("taken", "taker", 5_000);
    const written = writer.write([event("s", 1)], { session: "s" });
    await asked.promise;
    // The database has given the journal of the taker to another application.
    const { own } = await openedBy({ ...OTHER, id: "opener" }, sqlite);
    await written;
    expect((await own.eventExtent("s"))?.last).toBe(1);
  });

  test("asks nobody on another host, and nobody who does not listen", async () => {
    const { handover } = await owner(join(await folder(), "castellan.db"));
    expect(await handover.ask({ ...OTHER, host: "elsewhere" }, 1_000)).toBe(false);
    expect(await handover.ask(OTHER, 1_000)).toBe(false);
  });
});

describe("BorrowedWriting", () => {
  test("survives a next owner that cannot be reached, and says so", async () => {
    const app = await owner(join(await folder(), "castellan.db"), ['"kept"'], () => {
      throw new TypeError("the next process speaks another protocol");
    });
    const warned = once(process, "warning");
    const taker = await app.dial();
    await taker.call("take", "taker");
    await taker.call("taken", "taker", 5_000);
    const [warning] = (await warned) as [Error];
    expect(warning.message).toContain("cannot be reached: the next process speaks another protocol");
    expect(app.told).toEqual(["yield", "lend", "reach"]);
  });

  test("ends what a borrower reads when its connection ends", async () => {
    const app = await owner(join(await folder(), "castellan.db"));
    const ended = Promise.withResolvers<void>();
    async function* jobs() {
      try {
        for (let number = 0; ; number++) yield { id: `j${number}` };
      } finally {
        ended.resolve();
      }
    }
    Object.assign(app.journal, { jobs });
    const borrower = await app.dial();
    await borrower.call("rejoin", "borrower", process.pid, []);
    const stream = await borrower.call("stream", "jobs", ['"a"']);
    expect(await borrower.call("more", stream)).toMatchObject({ done: false });
    borrower.close();
    await ended.promise;
  });

  test("writes a batch once although it comes again, and again after a failure", async () => {
    const written: number[] = [];
    let fails = true;
    const writing = new BorrowedWriting(async ({ number }) => {
      if (fails) throw new CastellanError("JOURNAL_UNAVAILABLE", "full", { details: { reason: "no_space" } });
      written.push(number);
    });
    const batch = (number: number): Batch => ({ number, changes: [], durable: false });
    await expect(writing.write(batch(1))).rejects.toThrow("full");
    fails = false;
    await Promise.all([writing.write(batch(1)), writing.write(batch(1))]);
    await writing.write(batch(2));
    await writing.write(batch(1));
    expect(written).toEqual([1, 2]);
  });
});

describe("MovableJournal", () => {
  test("does not write a batch again that the other application had written before it died", async () => {
    const path = join(await folder(), "socket");
    const own = memoryJournal();
    const journal = new MovableJournal(own);
    const self: JournalOwner = { id: "one", pid: 1, host: "here", startedAt: 1 };
    await journal.open(self);
    const server = createServer((socket) => {
      const channel: Channel = new Channel(socket, async (_, [batch]) => {
        // The other application writes, and dies before it answers.
        await own.open({ ...self, id: "two" });
        await own.write({ ...(batch as Batch), number: 1 });
        await own.close();
        channel.close();
        return undefined;
      });
    });
    server.listen(path);
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const socket = connect(path);
    await once(socket, "connect");
    const channel = new Channel(socket, async () => ({}));
    await journal.leave();
    journal.arrive(channel);
    const usage = { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
    const spent = { costUsd: 1, model: "m", usage };
    const changes: Change[] = [
      event("s", 1),
      { type: "spent", supervisor: "app", session: "s", day: "2026-11-30", models: [spent] },
    ];
    const written = journal.write({ number: 1, changes, durable: false });
    await channel.closed;
    await journal.open(self);
    journal.arrive();
    await written;
    expect((await journal.usage({ supervisor: "app", by: [] })).map(({ costUsd }) => costUsd)).toEqual([1]);
    await journal.write({ number: 2, changes: [event("s", 2)], durable: false });
    expect((await journal.eventExtent("s"))?.last).toBe(2);
  });
});
