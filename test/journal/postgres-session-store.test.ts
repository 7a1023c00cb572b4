import {
  foldSessionSummary,
  listSessions,
  type SessionKey,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { type PostgresSessionStore, postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";
import { PostgresProxy } from "./postgres-proxy.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const KEY: SessionKey = { projectKey: "proj", sessionId: "sess" };
const UNREACHABLE = { code: "DATABASE_UNAVAILABLE", details: { reason: "unreachable" } };

function title(n: number, uuid?: string): SessionStoreEntry {
  return { type: "custom-title", customTitle: `title ${n}`, n, ...(uuid !== undefined && { uuid }) };
}

/** Checks that the summary is that of the stored entries, in their order. */
async function expectSummedUp(store: PostgresSessionStore): Promise<void> {
  const stored = (await store.load(KEY)) ?? [];
  const [summary] = await store.listSessionSummaries(KEY.projectKey);
  expect(summary?.data).toEqual(foldSessionSummary(undefined, KEY, stored).data);
  expect(await store.listSessions(KEY.projectKey)).toEqual([{ sessionId: "sess", mtime: summary?.mtime }]);
}

describe("postgresSessionStore", () => {
  for (const { name, run } of sessionStoreConformance(() => postgresSessionStore(server.fresh()))) it(name, run);
});

describe("a transcript in PostgreSQL with several writers", () => {
  it("has each entry once, batches in one piece, and a summary of everything", async () => {
    const where = server.fresh();
    const stores = Array.from({ length: 4 }, () => postgresSessionStore(where));
    // Each store sends the same entries with uuids, cut up differently, and entries of its own without.
    const appends = stores.flatMap((store, who) =>
      Array.from({ length: 12 }, (_, n) => {
        const shared = Array.from({ length: 5 }, (_, m) => title(n * 4 + m, `u${n * 4 + m}`));
        return store.append(KEY, [...shared, { ...title(n), who }, { ...title(n), who, last: true }]);
      }),
    );
    await Promise.all(appends);
    const [store, ...others] = stores as [PostgresSessionStore, ...PostgresSessionStore[]];
    const stored = (await store.load(KEY)) ?? [];
    const uuids = stored.flatMap(({ uuid }) => uuid ?? []);
    expect(uuids.toSorted()).toEqual(Array.from({ length: 49 }, (_, n) => `u${n}`).toSorted());
    for (const who of stores.keys()) {
      const own = stored.filter((entry) => entry["who"] === who);
      expect(own.map(({ n, last }) => `${n} ${last ?? ""}`)).toEqual(
        Array.from({ length: 12 }, (_, n) => [`${n} `, `${n} true`]).flat(),
      );
      for (const [at, entry] of stored.entries()) {
        if (entry["who"] === who && entry["last"] === true)
          expect(stored[at - 1]).toMatchObject({ who, n: entry["n"] });
      }
    }
    await expectSummedUp(store);
    await Promise.all([store, ...others].map((each) => each.close()));
  });

  it("may be deleted during appends", async () => {
    const where = server.fresh();
    const [one, other] = [postgresSessionStore(where), postgresSessionStore(where)];
    const calls = Array.from({ length: 30 }, (_, n) => {
      const subpath = `subagents/${n % 3}`;
      const deletions = [one.delete(KEY), other.delete(n % 2 ? KEY : { ...KEY, subpath })];
      return [one.append(KEY, [title(n)]), other.append({ ...KEY, subpath }, [title(n)]), ...deletions];
    });
    await Promise.all(calls.flat());
    await one.delete(KEY);
    await other.append(KEY, [title(1)]);
    expect(await one.load(KEY)).toEqual([title(1)]);
    expect(await one.listSubkeys(KEY)).toEqual([]);
    await expectSummedUp(one);
    await Promise.all([one.close(), other.close()]);
  });

  it("shares its schema with a journal that is created at the same time", async () => {
    const where = server.fresh();
    const journal = postgresJournal(where);
    const store = postgresSessionStore(where);
    const owner = { id: "a", pid: 1, host: "h", startedAt: 0 };
    await Promise.all([journal.open(owner), store.append(KEY, [title(1)])]);
    expect(await store.load(KEY)).toEqual([title(1)]);
    await journal.close();
    await store.append(KEY, [title(2)]);
    await store.close();
  });
});

describe("postgresSessionStore append", () => {
  it("does not repeat entries that were committed without confirmation", async () => {
    const proxy = await PostgresProxy.start(server.port);
    const store = postgresSessionStore(server.fresh(proxy.port));
    await store.append(KEY, [title(0, "u0")]);
    for (const when of ["before", "after"] as const) {
      proxy.cutAtCommit(when);
      await expect(store.append(KEY, [title(1, `${when} 1`), title(2, `${when} 2`)])).rejects.toMatchObject(
        UNREACHABLE,
      );
      await store.append(KEY, [title(3, `${when} 3`)]);
      await store.append(KEY, [title(1, `${when} 1`), title(2, `${when} 2`)]);
      await expectSummedUp(store);
    }
    const uuids = (await store.load(KEY))?.map(({ uuid }) => uuid);
    // "before": the first try was lost. "after": it was committed.
    expect(uuids).toEqual(["u0", "before 3", "before 1", "before 2", "after 1", "after 2", "after 3"]);
    await store.close();
    await proxy.stop();
  });

  it("rejects while the server is down, and succeeds once it is back", async () => {
    const store = postgresSessionStore(server.fresh());
    await server.end();
    await expect(store.append(KEY, [title(1, "u1")])).rejects.toMatchObject(UNREACHABLE);
    await server.start();
    await store.append(KEY, [title(1, "u1")]);
    await server.end("crash");
    await expect(store.append(KEY, [title(2, "u2")])).rejects.toMatchObject(UNREACHABLE);
    await expect(store.load(KEY)).rejects.toMatchObject(UNREACHABLE);
    await server.start();
    await store.append(KEY, [title(2, "u2")]);
    expect(await store.load(KEY)).toEqual([title(1, "u1"), title(2, "u2")]);
    await store.close();
  });

  it("stores an entry of 8 MB, and 500 entries in one call", async () => {
    await using store = postgresSessionStore(server.fresh());
    const image = Buffer.alloc(6_000_000, "castellan").toString("base64");
    const batch = Array.from({ length: 500 }, (_, n) => ({
      ...title(n, `u${n}`),
      text: "line of text\n".repeat(2_000),
    }));
    const began = performance.now();
    await store.append(KEY, [{ type: "user", uuid: "image", image }]);
    await store.append(KEY, batch);
    const loaded = await store.load(KEY);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(loaded).toHaveLength(501);
    expect(loaded?.[0]?.["image"] === image).toBe(true);
    expect(loaded?.[500]).toEqual(batch[499]);
  });
});

describe("postgresSessionStore", () => {
  it("is listed by the SDK's listSessions", async () => {
    await using store = postgresSessionStore(server.fresh());
    const sessionId = "11111111-1111-4111-8111-111111111111";
    const dir = "/somewhere";
    const message = { role: "user", content: "What is the time?" };
    const entry = {
      type: "user",
      uuid: crypto.randomUUID(),
      sessionId,
      timestamp: "2026-01-01T00:00:00.000Z",
      message,
    };
    await store.append({ projectKey: "-somewhere", sessionId }, [entry]);
    const [session] = await listSessions({ sessionStore: store, dir });
    expect(session).toMatchObject({ sessionId, firstPrompt: "What is the time?" });
  });

  it("works with detached methods", async () => {
    await using store = postgresSessionStore(server.fresh());
    const { append, load } = { ...store };
    await append(KEY, [title(1)]);
    expect(await load(KEY)).toEqual([title(1)]);
  });

  it("finishes pending appends when it is closed, and rejects later calls", async () => {
    const where = server.fresh();
    const store = postgresSessionStore(where);
    const appends = Array.from({ length: 10 }, (_, n) => store.append(KEY, [title(n)]));
    await store.close();
    await Promise.all(appends);
    const closed = { code: "DATABASE_UNAVAILABLE", message: expect.stringContaining("is not open") };
    await expect(store.append(KEY, [title(1)])).rejects.toMatchObject(closed);
    await expect(store.load(KEY)).rejects.toMatchObject(closed);
    await store.close();
    await postgresSessionStore(where).close();
    await using again = postgresSessionStore(where);
    expect(await again.load(KEY)).toHaveLength(10);
    expect(await server.sql("select from pg_stat_activity where application_name = 'castellan'")).toHaveLength(1);
  });

  it("rejects tables of a newer release", async () => {
    const where = server.fresh();
    await using first = postgresSessionStore(where);
    await first.append(KEY, [title(1)]);
    await server.sql(`update ${where.schema}.castellan_version set version = 99`);
    await using second = postgresSessionStore(where);
    await expect(second.load(KEY)).rejects.toMatchObject({
      code: "DATABASE_UNAVAILABLE",
      details: { reason: "foreign" },
      message: expect.stringContaining("of version 99"),
    });
  });

  it("rejects an empty subpath with INVALID_OPTIONS", async () => {
    await using store = postgresSessionStore(server.fresh());
    const empty = { code: "INVALID_OPTIONS", message: expect.stringContaining("`subpath`: must not be empty") };
    for (const call of [() => store.append({ ...KEY, subpath: "" }, []), () => store.load({ ...KEY, subpath: "" })]) {
      await expect(call()).rejects.toMatchObject(empty);
    }
  });
});
