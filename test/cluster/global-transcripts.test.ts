import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { fenceEpochs } from "../../src/cluster/epoch-fence.ts";
import { type GlobalTranscripts, globalTranscripts } from "../../src/cluster/run-storage.ts";
import { PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";
import { type OwningNode, openTransaction, own, owningNode, type Place, waitForLocks } from "./postgres-scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const A = '["global","a"]';
const B = '["global","b"]';
const KEY: SessionKey = { projectKey: "-home-one", sessionId: "11111111-1111-4111-8111-111111111111" };
/** The same transcript on a node with other paths. */
const ELSEWHERE: SessionKey = { ...KEY, projectKey: "-srv-other" };
const NOT_OWNER = { code: "NOT_OWNER" };

function title(n: number): SessionStoreEntry {
  return { type: "custom-title", customTitle: `title ${n}`, uuid: `u${n}` };
}

function transcriptsOf({ boot, owned }: OwningNode, where: Place): GlobalTranscripts {
  const transcripts = globalTranscripts(where, { boot }, owned);
  onTestFinished(() => transcripts.close());
  return transcripts;
}

/** Lets another node claim the session without the former owner's knowledge. */
async function takenBy(next: OwningNode, where: Place, former: string): Promise<void> {
  const renewed = "renewed_at = renewed_at - interval '61 seconds'";
  await server.sql(`update ${where.schema}.nodes set ${renewed} where boot = $1`, [former]);
  await own(next, A);
}

describe("globalTranscripts", () => {
  /** Cases about several projects. A cluster has a single one. */
  const OF_PROJECTS = [
    "keeps arbitrary keys apart",
    "lists the sessions of one project only",
    "summarises a session as the SDK does",
    "lists each subagent of a session once",
    "deletes one session only",
  ];
  let kept: { readonly where: Place; readonly owner: OwningNode } | undefined;

  const make = async (): Promise<SessionStore & AsyncDisposable> => {
    const where = kept?.where ?? server.fresh();
    kept ??= { where, owner: await owningNode(where, "one", A) };
    const { owner } = kept;
    const transcripts = globalTranscripts(where, { boot: owner.boot }, owner.owned);
    const store = transcripts.storeOf(A);
    await store.listSessions("");
    await server.sql(`truncate ${where.schema}.transcripts cascade`);
    return { ...store, [Symbol.asyncDispose]: () => transcripts.close() };
  };

  for (const { name, run } of sessionStoreConformance(make)) {
    if (!OF_PROJECTS.includes(name)) it(name, run);
  }

  it("are the same on every node and path, and record the epoch of each entry", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
    const first = transcriptsOf(one, where).storeOf(A);
    await first.append(KEY, [title(1), title(2)]);
    await first.append({ ...KEY, subpath: "subagents/x" }, [title(1)]);
    await one.engine.leave("one");
    await own(other, A);
    const second = transcriptsOf(other, where).storeOf(A);
    expect(await second.load(ELSEWHERE)).toEqual([title(1), title(2)]);
    expect(await second.listSubkeys(ELSEWHERE)).toEqual(["subagents/x"]);
    await second.append(ELSEWHERE, [title(2), title(3)]);
    expect(await first.load(KEY)).toEqual([title(1), title(2), title(3)]);
    expect(await second.listSessions("anything")).toHaveLength(1);
    expect((await second.listSessionSummaries("anything"))[0]?.data).toMatchObject({ customTitle: "title 3" });
    const rows = await server.sql(
      `select position, epoch from ${where.schema}.transcript_entries join ${where.schema}.transcripts on transcript = id
       where subpath is null order by position`,
    );
    expect(rows.map(({ epoch }) => Number(epoch))).toEqual([1, 1, 2]);
  });

  it("store a transcript of 20 MB with images", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
    const first = transcriptsOf(one, where).storeOf(A);
    const image = Buffer.alloc(4_500_000, "castellan").toString("base64");
    const source = { type: "base64", media_type: "image/png", data: image };
    const message = { role: "user", content: [{ type: "image", source }] };
    const lines = Array.from({ length: 700 }, (_, n) => ({ ...title(n), text: "line of text\n".repeat(1_600) }));
    await first.append(KEY, [{ type: "user", uuid: "image", message }]);
    await first.append(KEY, lines);
    await one.engine.leave("one");
    await own(other, A);
    const loaded = await transcriptsOf(other, where).storeOf(A).load(ELSEWHERE);
    expect(JSON.stringify(loaded).length).toBeGreaterThan(20_000_000);
    expect(loaded).toHaveLength(701);
    expect(loaded?.[0]?.["message"]).toEqual(message);
    expect(loaded?.at(-1)).toEqual(lines.at(-1));
  });

  it("are fenced behind a pooler that gives each transaction another session", async () => {
    const pooler = await TransactionPooler.start(server.url(), 3);
    const where = server.fresh(pooler.port);
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
    const [before, after] = [
      globalTranscripts(where, { boot: "one" }, one.owned),
      globalTranscripts(where, { boot: "other" }, other.owned),
    ];
    await before.storeOf(A).append(KEY, [title(1)]);
    await takenBy(other, where, "one");
    await after.storeOf(A).append(ELSEWHERE, [title(2)]);
    await expect(before.storeOf(A).append(KEY, [title(3)])).rejects.toMatchObject(NOT_OWNER);
    expect(await before.storeOf(A).load(KEY)).toEqual([title(1), title(2)]);
    await Promise.all([before.close(), after.close(), one.engine.close(), other.engine.close()]);
    await pooler.stop();
  });
});

describe("globalTranscripts of a node that lost a session", () => {
  it("reject appends and deletes with NOT_OWNER", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A, B), await owningNode(where, "other")];
    const transcripts = transcriptsOf(one, where);
    const store = transcripts.storeOf(A);
    await store.append(KEY, [title(1)]);
    await takenBy(other, where, "one");
    await expect(store.append(KEY, [title(2)])).rejects.toMatchObject(NOT_OWNER);
    await expect(store.append({ ...KEY, sessionId: "new" }, [title(2)])).rejects.toMatchObject(NOT_OWNER);
    await expect(store.append({ ...KEY, subpath: "s" }, [title(2)])).rejects.toMatchObject(NOT_OWNER);
    await expect(store.delete(KEY)).rejects.toMatchObject(NOT_OWNER);
    // The whole node has lost its ownership, not only that session.
    await expect(transcripts.storeOf(B).append(KEY, [title(2)])).rejects.toMatchObject(NOT_OWNER);
    expect(await store.load(KEY)).toEqual([title(1)]);
    expect(await store.listSessions("")).toHaveLength(1);
    expect(await store.listSubkeys(KEY)).toEqual([]);
    const next = transcriptsOf(other, where).storeOf(A);
    await next.append(ELSEWHERE, [title(3)]);
    await next.delete(ELSEWHERE);
    expect(await store.load(KEY)).toBeNull();
  });

  it("reject with NOT_OWNER for a session of another node, and under an older epoch", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A);
    const transcripts = transcriptsOf(one, where);
    const refused = { ...NOT_OWNER, message: expect.stringContaining('["global","b"]') };
    await expect(transcripts.storeOf(B).append(KEY, [title(1)])).rejects.toMatchObject(refused);
    await one.engine.release("one", A, 1);
    await one.engine.claim("one", A);
    await expect(transcripts.storeOf(A).append(KEY, [title(1)])).rejects.toMatchObject(NOT_OWNER);
    one.owned.take(A, 2);
    await transcripts.storeOf(A).append(KEY, [title(1)]);
  });

  it("complete a pending append before the next owner's claim", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
    const store = transcriptsOf(one, where).storeOf(A);
    await store.load(KEY);
    // Blocks at the last statement of an append.
    const { schema } = where;
    await server.sql(`create function ${schema}.wait() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(77); return new; end';
      create trigger wait before update of summary on ${schema}.transcripts for each row execute function ${schema}.wait()`);
    const endTransaction = await openTransaction(server, "select pg_advisory_xact_lock(77)");
    const append = store.append(KEY, [title(1), title(2)]);
    await waitForLocks(server, "set summary");
    const taken = takenBy(other, where, "one");
    await waitForLocks(server, "insert into globals");
    await endTransaction();
    await append;
    await taken;
    expect(other.owned.epochOf(A)).toBe(2);
    expect(await store.load(KEY)).toEqual([title(1), title(2)]);
  });

  it("apply nothing of an append that has not locked yet, and do not delay the claim", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other")];
    const store = transcriptsOf(one, where).storeOf(A);
    await store.append(KEY, [title(1)]);
    const endTransaction = await openTransaction(server, `lock table ${where.schema}.transcript_entries in share mode`);
    const appends = [2, 3].map((n) => store.append(KEY, [title(n)]));
    const refused = appends.map((append) => expect(append).rejects.toMatchObject(NOT_OWNER));
    await waitForLocks(server, "insert into transcript_entries");
    await takenBy(other, where, "one");
    await endTransaction();
    await Promise.all(refused);
    expect(await store.load(KEY)).toEqual([title(1)]);
  });

  it("lock a session for at most a second when their process freezes in a write", async () => {
    const where = server.fresh();
    await owningNode(where, "one", A);
    const other = await owningNode(where, "other");
    const database = await PostgresDatabase.load(postgresLocation(where), "session store", { timeoutMs: 45_000 });
    const { promise: fenced, resolve } = Promise.withResolvers<void>();
    const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
    const writing = database.transaction(async (query) => {
      await fenceEpochs(query, { boot: "one" }, new Map([[A, 1]]));
      resolve();
      await woken;
      await query("select 1");
    });
    await fenced;
    await takenBy(other, where, "one");
    wake();
    await expect(writing).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE", details: { applied: false } });
    await database.close();
  });
});

it("globalTranscripts: finish pending appends at close, and reject later calls", async () => {
  const where = server.fresh();
  const transcripts = globalTranscripts(where, { boot: "one" }, (await owningNode(where, "one", A)).owned);
  const append = transcripts.storeOf(A).append(KEY, [title(1)]);
  await transcripts.close();
  await append;
  await transcripts.close();
  await expect(transcripts.storeOf(A).load(KEY)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
});
