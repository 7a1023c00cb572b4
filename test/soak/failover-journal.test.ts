import type { SessionKey, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal, JournalOwner } from "../../src/journal/model/journal.ts";
import { historyExpression } from "../../src/journal/postgres/lazy-database.ts";
import { PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { type PostgresSessionStore, postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";
import { ReplicatedServer } from "../cluster/replicated-server.ts";
import { BackedUpDatabase } from "../journal/backed-up-database.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { collectEvents } from "../telemetry/published-events.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const warnings: string[] = [];
const warned = (warning: Error): void => void warnings.push(warning.message);

beforeEach(() => {
  warnings.length = 0;
  process.on("warning", warned);
});

afterEach(() => {
  process.off("warning", warned);
});

const OWNER: JournalOwner = { id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 };
const KEY: SessionKey = { projectKey: "proj", sessionId: "sess" };

function accepted(number: number, prompt = `prompt ${number}`): Batch {
  const turn = { id: `t${number}`, session: '"a"', prompt, position: number, durable: true, acceptedAt: number };
  return { number, durable: true, changes: [{ type: "turn_accepted", turn }] };
}

function change(number: number, ...changes: Change[]): Batch {
  return { number, durable: true, changes };
}

async function open(place: { readonly postgres: string; readonly schema: string }): Promise<Journal> {
  const journal = postgresJournal({ ...place, clock: new SimulatedClock() });
  await journal.open(OWNER);
  onTestFinished(() => journal.close());
  return journal;
}

async function prompts(journal: Journal): Promise<string[]> {
  return (await journal.unfinishedTurns(['"a"'])).map(({ prompt }) => prompt);
}

function store(place: { readonly postgres: string; readonly schema: string }): PostgresSessionStore {
  const made = postgresSessionStore(place);
  onTestFinished(() => made.close());
  return made;
}

function entry(n: number): SessionStoreEntry {
  return { type: "user", uuid: `u${n}`, parentUuid: n === 1 ? null : `u${n - 1}` };
}

function ids(entries: readonly SessionStoreEntry[] | null): unknown[] {
  return entries?.map(({ uuid }) => uuid) ?? [];
}

describe("PostgreSQL journal after its database was restored from a backup", () => {
  it("rewrites the lost batches once, before the next batch", async () => {
    using gaps = collectEvents("castellan:database:gap");
    const database = await BackedUpDatabase.create(server);
    const journal = await open(database.place);
    await journal.write(accepted(1));
    await database.backUp();
    await journal.write(accepted(2));
    await journal.write(change(3, { type: "turn_begun", turn: "t2", promptId: "p", attempt: 1 }));
    await database.putBack();
    await journal.write(accepted(4));
    expect(await prompts(journal)).toEqual(["prompt 2", "prompt 1", "prompt 4"]);
    expect(await journal.turn("t2")).toMatchObject({ state: "running", attempts: 1 });
    await expect.poll(() => warnings.join()).toMatch(/lacked the last 2 batches\. Castellan wrote them again/);
    expect(gaps.heard).toEqual([{ location: journal.location, content: "journal", count: 2, lost: false }]);
  });

  it("rewrites lost events and their contents, once", async () => {
    const database = await BackedUpDatabase.create(server);
    const journal = await open(database.place);
    const [kept, lost] = [content("kept"), content("lost", "text/plain")];
    await journal.write(change(1, appendingWith(event(1), kept)));
    await database.backUp();
    await journal.write(change(2, appendingWith(event(2), lost), appendingWith(event(3), kept)));
    await journal.write(change(3, { type: "event_appended", event: event(4) }));
    const before = await journal.events({ session: '"a"', limit: 9 });
    for (let times = 0; times < 2; times++) {
      await database.putBack();
      expect(await journal.events({ session: '"a"', limit: 9 })).toEqual(before);
      expect(await journal.content(lost.hash)).toEqual(lost);
      expect(await journal.eventExtent('"a"')).toEqual({ first: 1, last: 4, bytes: 4 * 18 + 12 });
    }
  });

  it("answers from the rewritten batches, without a write in between", async () => {
    const database = await BackedUpDatabase.create(server);
    const journal = await open(database.place);
    await database.backUp();
    await journal.write(accepted(1));
    await journal.write(
      change(2, { type: "turn_ended", turn: "t1", state: "completed", at: 1, outcome: { text: "x" } }),
    );
    await database.putBack();
    expect(await journal.turn("t1")).toMatchObject({ state: "completed", outcome: { text: "x" } });
    expect(await prompts(journal)).toEqual([]);
  });

  it("counts costs once, however often the database is restored", async () => {
    const database = await BackedUpDatabase.create(server);
    const journal = await open(database.place);
    const usage = { inputTokens: 1, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
    const models = [{ model: "m", costUsd: 1, usage }];
    const spent = { type: "spent", supervisor: "s", session: "a", day: "2026-01-01", models } as const;
    await journal.write(change(1, spent));
    await database.backUp();
    await journal.write(change(2, spent));
    for (let times = 0; times < 2; times++) {
      await database.putBack();
      expect((await journal.usage({ by: [] }))[0]?.costUsd).toBe(2);
    }
    await journal.write(change(3, spent));
    expect((await journal.usage({ by: [] }))[0]?.costUsd).toBe(3);
  });

  it("remains the application's own when the backup is older than the claim", async () => {
    const database = await BackedUpDatabase.create(server);
    const before = await open(database.place);
    await before.close();
    await database.backUp();
    const journal = await open(database.place);
    await journal.write(accepted(1));
    await database.putBack();
    expect(await prompts(journal)).toEqual(["prompt 1"]);
    await journal.write(accepted(2));
    expect(await prompts(journal)).toEqual(["prompt 1", "prompt 2"]);
  });

  it("reports changes as lost when they exceed what it keeps, and continues", async () => {
    using gaps = collectEvents("castellan:database:gap");
    const database = await BackedUpDatabase.create(server);
    const journal = await open(database.place);
    await database.backUp();
    for (let number = 1; number <= 5; number++) await journal.write(accepted(number, "x".repeat(4 * 1024 ** 2)));
    await database.putBack();
    await journal.write(accepted(6));
    expect(await journal.turn("t1")).toBeUndefined();
    expect(await journal.turn("t6")).toBeDefined();
    await expect.poll(() => warnings.join()).toMatch(/turns, replies and costs are lost/);
    expect(gaps.heard).toMatchObject([{ content: "journal", lost: true }]);
  });
});

describe("PostgreSQL session store after its database was restored from a backup", () => {
  it("appends the lost entries once, in order", async () => {
    using gaps = collectEvents("castellan:database:gap");
    const database = await BackedUpDatabase.create(server);
    const transcripts = store(database.place);
    await transcripts.append(KEY, [entry(1)]);
    await database.backUp();
    await transcripts.append(KEY, [entry(2), { type: "last-prompt" }]);
    await transcripts.append(KEY, [entry(3)]);
    await database.putBack();
    await transcripts.append(KEY, [entry(4)]);
    const kept = await transcripts.load(KEY);
    expect(ids(kept)).toEqual(["u1", "u2", undefined, "u3", "u4"]);
    await expect.poll(() => warnings.join()).toMatch(/lacked the last 3 entries of a transcript/);
    expect(gaps.heard).toMatchObject([{ content: "transcript", count: 3, lost: false }]);
  });

  it("loads the last appended entries", async () => {
    const database = await BackedUpDatabase.create(server);
    const transcripts = store(database.place);
    await transcripts.append(KEY, [entry(1)]);
    await database.backUp();
    await transcripts.append(KEY, [entry(2)]);
    await database.putBack();
    expect(ids(await transcripts.load(KEY))).toEqual(["u1", "u2"]);
  });

  it("does not bring back entries that another process deleted", async () => {
    const database = await BackedUpDatabase.create(server);
    const [transcripts, others] = [store(database.place), store(database.place)];
    await transcripts.append(KEY, [entry(1)]);
    await others.delete(KEY);
    expect(await transcripts.load(KEY)).toBeNull();
    await transcripts.append(KEY, [entry(2)]);
    await others.delete(KEY);
    await transcripts.append(KEY, [entry(3)]);
    expect(ids(await transcripts.load(KEY))).toEqual(["u3"]);
    expect(warnings).toEqual([]);
  });
});

describe("PostgreSQL replica that lacks commits and takes over", () => {
  it("gets the lost commits from the journal and the session store", async () => {
    const servers = await ReplicatedServer.start();
    const place = { postgres: servers.primary.url({ port: servers.port }), schema: "castellan" };
    const [journal, transcripts] = [await open(place), store(place)];
    await expect.poll(() => warnings.join("\n")).toContain("it has a replica and waits for none");
    await journal.write(accepted(1));
    await transcripts.append(KEY, [entry(1)]);
    await servers.replicated();
    servers.lag();
    await journal.write(accepted(2));
    await transcripts.append(KEY, [entry(2)]);
    const fresh = { ...KEY, sessionId: "fresh" };
    await transcripts.append(fresh, [entry(1)]);
    await servers.losePrimary();
    await servers.promote();
    await expect.poll(() => prompts(journal).catch(() => [])).toEqual(["prompt 1", "prompt 2"]);
    expect(ids(await transcripts.load(KEY))).toEqual(["u1", "u2"]);
    // The replica never had this transcript. Its timeline says why.
    expect(ids(await transcripts.load(fresh))).toEqual(["u1"]);
  });
});

describe("historyExpression", () => {
  it("uses as much of the server's history as its rights allow", async () => {
    const database = await BackedUpDatabase.create(server);
    await server.sql("drop role if exists restricted");
    await server.sql("create role restricted login password 'restricted'");
    const url = database.place.postgres.replace(/\/\/[^@]*@/, "//restricted:restricted@");
    const expressionFor = async (): Promise<string> => {
      const place = postgresLocation({ ...database.place, postgres: url });
      const reader = await PostgresDatabase.load(place, "database", { timeoutMs: 5_000, connections: 1 });
      try {
        return await historyExpression(reader);
      } finally {
        await reader.close();
      }
    };
    expect(await expressionFor()).toMatch(/pg_control_system.*pg_walfile_name/);
    await database.sql("revoke execute on function pg_control_system() from public");
    expect(await expressionFor()).toMatch(/^substr\(pg_walfile_name/);
    await database.sql("revoke execute on function pg_walfile_name(pg_lsn) from public");
    expect(await expressionFor()).toBe("null::text");
  });
});
