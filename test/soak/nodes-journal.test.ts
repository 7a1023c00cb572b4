import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { type ClusterJournal, clusterJournal } from "../../src/cluster/cluster-journal.ts";
import { fenceEpochs } from "../../src/cluster/epoch-fence.ts";
import { CastellanError } from "../../src/errors.ts";
import { JournalWriter } from "../../src/journal/journal-writer.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { toText } from "../../src/journal/model/stored-text.ts";
import { PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { ALL_EVENTS, appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import {
  type OwningNode,
  openTransaction,
  own,
  owningNode,
  type Place,
  waitForClient,
  waitForLocks,
} from "../cluster/postgres-scene.ts";
import { PostgresProxy } from "../journal/postgres-proxy.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const A = '["global","a"]';
const B = '["global","b"]';
const IDLE = { load: 0, draining: false };

/** Returns a batch of one session whose cost shows how often it was written. */
function spend(number: number, session = A): Batch {
  const usage = { inputTokens: 1, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
  const models = [{ model: "m", costUsd: 10 ** (number - 1), usage }];
  const change: Change = { type: "spent", supervisor: "s", session, day: "2026-01-01", models };
  return { number, changes: [change], sessions: [session], durable: true };
}

/** Returns a number whose digits say how often each batch of the session was written, the first batch last. */
async function written(journal: Journal, session = A): Promise<number> {
  return (await journal.usage({ by: [], session }))[0]?.costUsd ?? 0;
}

async function journalOf({ boot, owned }: OwningNode, where: Place): Promise<ClusterJournal> {
  const journal = clusterJournal(where, { boot }, owned, () => true, systemClock);
  await journal.open({ id: boot, pid: 1, host: "h", startedAt: 0 });
  onTestFinished(() => journal.close());
  return journal;
}

async function refusal(work: Promise<unknown>): Promise<CastellanError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!CastellanError.is(error)) throw new Error(`expected a CastellanError, got ${inspect(error)}`);
  return error;
}

/** Returns whether a promise has settled. */
async function isSettled(promise: Promise<unknown> | undefined): Promise<boolean> {
  const pending = Symbol("pending");
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}

describe("ClusterJournal", () => {
  let where: Place | undefined;

  /** Returns an empty journal whose node owns every session that is written. */
  const make = async (): Promise<Journal> => {
    where ??= server.fresh();
    await server.empty(where.schema);
    const { boot, engine, owned } = await owningNode(where, "a", A);
    const journal = clusterJournal(where, { boot }, owned, () => true, systemClock);
    const write = journal.write.bind(journal);
    const { schema } = where;
    journal.write = async (batch) => {
      const sessions = new Set(batch.changes.flatMap(sessionOf));
      const missing = [...sessions].filter((key) => owned.epochOf(key) === undefined);
      const rows = "select key, 'a', 7 from unnest($1::text[]) as key";
      if (missing.length > 0) await server.sql(`insert into ${schema}.globals ${rows}`, [missing.map(toText)]);
      for (const key of missing) owned.take(key, 7);
      await write({ ...batch, sessions: [...sessions, A] });
    };
    await engine.close();
    return journal;
  };

  const sessionOf = (change: Change): string | readonly string[] => {
    if (change.type === "session_saved") return change.session.key;
    if (change.type === "turn_accepted") return change.turn.session;
    if (change.type === "approval_requested") return change.approval.session;
    if (change.type === "event_appended") return change.event.session;
    if (change.type === "transcript_appended") return change.part.session;
    if (change.type === "job_saved" || change.type === "job_added") return change.job.session;
    if (change.type === "delivery_due") return change.delivery.session;
    return "session" in change ? change.session : [];
  };

  const cases = journalConformance(make).filter(({ name }) => name !== "refuses a second owner");
  for (const { name, run } of cases) it(name, run);

  it("has the deliveries of the sessions that its node owns", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other", B)];
    const [first, second] = [await journalOf(one, where), await journalOf(other, where)];
    const due = (session: string): Batch => {
      const delivery = { session, endpoint: "e", supervisor: "s", after: 0, at: 1 };
      return { number: 1, sessions: [session], durable: true, changes: [{ type: "delivery_due", delivery }] };
    };
    await Promise.all([first.write(due(A)), second.write(due(B))]);
    expect((await first.deliveries({ limit: 9 })).map(({ session }) => session)).toEqual([A]);
    expect((await second.deliveries({ sessions: [A, B], limit: 9 })).map(({ session }) => session)).toEqual([B]);
    expect(await one.engine.unattended([], 9)).toEqual([]);
    await one.engine.release(one.boot, A, one.owned.epochOf(A) ?? 0);
    expect(await other.engine.unattended([], 9)).toEqual([A]);
  });

  it("is open on several nodes, each writing its own sessions", async () => {
    const where = server.fresh();
    const [one, other] = [await owningNode(where, "one", A), await owningNode(where, "other", B)];
    const [first, second] = [await journalOf(one, where), await journalOf(other, where)];
    await Promise.all([first.write(spend(1)), second.write(spend(1, B))]);
    await Promise.all([second.write(spend(2, B)), first.write(spend(2))]);
    expect([await written(second), await written(first, B)]).toEqual([11, 11]);
    const accepted = [A, B].map((session): Batch => {
      const turn = { id: session, session, prompt: "", position: 0, durable: true, acceptedAt: 0 };
      return { number: 3, sessions: [session], durable: true, changes: [{ type: "turn_accepted", turn }] };
    });
    await Promise.all([first, second].map((journal, at) => journal.write(accepted[at] ?? spend(3))));
    expect(await first.unfinishedBeginning("")).toEqual([A]);
    expect(await second.unfinishedBeginning('["global",')).toEqual([B]);
    expect(await second.unfinishedBeginning('["local",')).toEqual([]);
  });

  it("may be pruned by several nodes at once", async () => {
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A), where);
    const others = await Promise.all(
      ["b", "c"].map(async (boot) => await journalOf(await owningNode(where, boot), where)),
    );
    const ended = Array.from({ length: 400 }, (_, n): Change[] => [
      {
        type: "turn_accepted",
        turn: { id: `${n}`, session: A, prompt: "", position: n, durable: false, acceptedAt: 0 },
      },
      { type: "turn_ended", turn: `${n}`, state: "completed", at: n, outcome: {} },
    ]);
    const shared = content("shared");
    const events = Array.from({ length: 900 }, (_, n) => appendingWith(event(n + 1, { session: A }), shared));
    await journal.write({ number: 1, sessions: [A], durable: false, changes: [...ended.flat(), ...events] });
    const retention = { endedSince: 0, turnsPerSession: 10, events: { ...ALL_EVENTS, perSession: 10 } };
    const pruned = await Promise.all([journal, ...others].map((each) => each.prune(retention)));
    expect(pruned.reduce((sum, count) => sum + count, 0)).toBe(390);
    expect(await journal.turn("389")).toBeUndefined();
    expect(await journal.turn("390")).toBeDefined();
    expect(await journal.eventExtent(A)).toEqual({ first: 891, last: 900, bytes: 10 * (20 + 6) });
    expect(await journal.content(shared.hash)).toEqual(shared);
  });

  it("refuses a batch that names no sessions", async () => {
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A), where);
    const { sessions, ...anonymous } = spend(1);
    expect(sessions).toEqual([A]);
    const refused = { code: "JOURNAL_UNAVAILABLE", details: { reason: "refused", applied: false } };
    await expect(journal.write(anonymous)).rejects.toMatchObject(refused);
    await journal.write(spend(1));
    expect(await written(journal)).toBe(1);
  });

  it("gets the sessions of a batch from the writer", async () => {
    const where = server.fresh();
    const owner = await owningNode(where, "one", A, B);
    const journal = await journalOf(owner, where);
    const writer = new JournalWriter(journal, { clock: systemClock, random: Math.random });
    const [a, b] = [spend(1), spend(1, B)].map(({ changes }) => changes) as [Change[], Change[]];
    await Promise.all([
      writer.write(a, { session: A }),
      writer.record(b, { session: B }),
      writer.record(a, { session: A }),
    ]);
    expect([await written(journal), await written(journal, B)]).toEqual([2, 1]);
    await own(owner, B);
    owner.owned.drop(B);
    expect((await refusal(writer.write(b, { session: B }))).code).toBe("NOT_OWNER");
    expect((await writer.lost).code).toBe("NOT_OWNER");
    await writer.close(1_000);
  });
});

describe("ClusterJournal of a node that lost a session", () => {
  it("rejects with NOT_OWNER for every session from then on, and resolves `lost`", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A, B);
    const journal = await journalOf(one, where);
    await journal.write(spend(1));
    const lost = journal.lost;
    const other = await owningNode(where, "other");
    await aged(where, "one");
    await journal.write(spend(2, B));
    await own(other, A);
    expect(await isSettled(lost)).toBe(false);
    const error = await refusal(journal.write({ ...spend(3), changes: [...spend(3).changes, ...spend(3, B).changes] }));
    expect(error.code).toBe("NOT_OWNER");
    expect(error.message).toContain('["global","a"]');
    expect(await lost).toBe(error);
    expect(await refusal(journal.write(spend(3, B)))).toBe(error);
    const next = await journalOf(other, where);
    expect([await written(next), await written(next, B)]).toEqual([1, 10]);
    await next.write(spend(1));
    expect(await written(next)).toBe(2);
  });

  it("rejects with NOT_OWNER also for sessions that no node has claimed yet", async () => {
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A, B), where);
    const other = await owningNode(where, "other");
    await aged(where, "one");
    await own(other, A);
    const error = await refusal(journal.write(spend(1, B)));
    expect(error.code).toBe("NOT_OWNER");
    expect(error.message).toContain("declared dead");
    expect(await written(journal, B)).toBe(0);
  });

  it("rejects with NOT_OWNER under an older epoch of the same session", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A);
    const journal = await journalOf(one, where);
    const epoch = one.owned.epochOf(A) ?? 0;
    await one.engine.release("one", A, epoch);
    await one.engine.claim("one", A);
    expect(one.owned.epochOf(A)).toBe(epoch);
    expect((await refusal(journal.write(spend(1)))).code).toBe("NOT_OWNER");
    expect(await written(journal)).toBe(0);
  });

  it("rejects with NOT_OWNER for a session of another node, and after the node has left", async () => {
    const where = server.fresh();
    for (const sessions of [[B], [A, B]]) {
      const one = await owningNode(where, `one of ${sessions.length}`);
      await own(one, A);
      const journal = await journalOf(one, where);
      expect((await refusal(journal.write({ ...spend(1), sessions }))).code).toBe("NOT_OWNER");
      await one.engine.leave(one.boot);
    }
    const one = await owningNode(where, "one", A);
    const journal = await journalOf(one, where);
    await one.engine.leave("one");
    expect((await refusal(journal.write(spend(1)))).code).toBe("NOT_OWNER");
    expect(await written(journal)).toBe(0);
  });

  it("rejects writes after lose(), with its error", async () => {
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A), where);
    const error = new CastellanError("NOT_OWNER", "The lease is over.");
    journal.lose(error);
    expect(await journal.lost).toBe(error);
    expect(await refusal(journal.write(spend(1)))).toBe(error);
    expect(await written(journal)).toBe(0);
  });

  it("applies nothing of a pending write, which delays neither claim nor renewal", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A, B);
    const journal = await journalOf(one, where);
    const other = await owningNode(where, "other");
    const endTransaction = await openTransaction(server, `lock table ${where.schema}.spent in share mode`);
    const write = refusal(journal.write(spend(1)));
    await waitForLocks(server, "insert into spent");
    expect(await one.engine.renew("one", IDLE)).toBe(true);
    await aged(where, "one");
    await own(other, A);
    await endTransaction();
    expect((await write).code).toBe("NOT_OWNER");
    expect(await written(journal)).toBe(0);
  });

  it("applies a write that only had to commit, and the claim waits for it", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const where = server.fresh();
    const one = await owningNode(where, "one", A, B);
    const journal = await journalOf(one, { ...where, postgres: server.url({ port: proxy.port }) });
    await journal.write(spend(1));
    const other = await owningNode(where, "other");
    const commit = proxy.holdCommit();
    const write = journal.write(spend(2));
    await commit.reached;
    await waitForClient(server, "for share");
    await aged(where, "one");
    // The node loses its ownership at once. Only the claim of the session being written has to wait.
    await own(other, B);
    const claim = other.engine.claim("other", A);
    await waitForLocks(server, "insert into globals");
    commit.release();
    await write;
    expect(await claim).toEqual({ taken: true, epoch: 2 });
    expect(await written(journal)).toBe(11);
    expect((await refusal(journal.write(spend(3)))).code).toBe("NOT_OWNER");
  });

  it("applies nothing of a write that comes during a claim", async () => {
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A), where);
    await owningNode(where, "other");
    const claim = `update ${where.schema}.globals set owner = 'other', epoch = epoch + 1`;
    const endTransaction = await openTransaction(server, claim);
    const write = refusal(journal.write(spend(1)));
    await waitForLocks(server, "for share");
    await endTransaction("commit");
    expect((await write).code).toBe("NOT_OWNER");
    expect(await written(journal)).toBe(0);
  });

  /** Makes the node's last renewal older than its `staleMs`. */
  async function aged(where: Place, boot: string): Promise<void> {
    const renewed = "renewed_at = renewed_at - interval '61 seconds'";
    await server.sql(`update ${where.schema}.nodes set ${renewed} where boot = $1`, [boot]);
  }
});

describe("a batch of ClusterJournal", () => {
  it("takes one round trip", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const where = server.fresh();
    const journal = await journalOf(await owningNode(where, "one", A, B), {
      ...where,
      postgres: server.url({ port: proxy.port }),
    });
    const before = proxy.roundTrips;
    const { changes } = spend(1, B);
    await journal.write({ ...spend(1), changes: [...spend(1).changes, ...changes], sessions: [A, B] });
    for (const number of [2, 3, 4]) await journal.write(spend(number));
    expect(proxy.roundTrips - before).toBe(4);
    expect(await written(journal)).toBe(1111);
  });

  it("is applied once if its commit was not confirmed, and counts as written although the session is lost since", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const where = server.fresh();
    const one = await owningNode(where, "one", A);
    const journal = await journalOf(one, { ...where, postgres: server.url({ port: proxy.port }) });
    for (const [number, when] of [
      [1, "after"],
      [2, "before"],
      [3, "after"],
    ] as const) {
      proxy.cutAtCommit(when);
      expect((await refusal(journal.write(spend(number)))).details).toEqual({ reason: "unreachable" });
      if (number === 3) await one.engine.leave("one");
      await journal.write(spend(number));
      await journal.write(spend(number));
    }
    expect(await written(journal)).toBe(111);
    expect((await refusal(journal.write(spend(4)))).code).toBe("NOT_OWNER");
  });

  it("is refused with NOT_OWNER after the journal was reopened for the same node", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A);
    const [before, after] = [await journalOf(one, where), await journalOf(one, where)];
    expect((await refusal(before.write(spend(1)))).code).toBe("NOT_OWNER");
    await after.write(spend(1));
    expect(await written(after)).toBe(1);
  });

  it("is written after a restart of the server", async () => {
    const where = server.fresh();
    const one = await owningNode(where, "one", A);
    const journal = await journalOf(one, where);
    await journal.write(spend(1));
    await server.end("crash");
    const unreachable = { code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable", applied: false } };
    await expect(journal.write(spend(2))).rejects.toMatchObject(unreachable);
    await server.start();
    await journal.write(spend(2));
    expect(await written(journal)).toBe(11);
  });

  it("is fenced behind a pooler that gives each transaction another session", async () => {
    const pooler = await TransactionPooler.start(server.url(), 3);
    const where = server.fresh(pooler.port);
    const [one, other] = [await owningNode(where, "one", A, B), await owningNode(where, "other")];
    const [journal, next] = [await journalOf(one, where), await journalOf(other, where)];
    for (let number = 1; number <= 3; number += 1) await journal.write(spend(number));
    await one.engine.release("one", A, 1);
    await own(other, A);
    await next.write(spend(1));
    expect((await refusal(journal.write(spend(4)))).code).toBe("NOT_OWNER");
    expect(await written(next)).toBe(112);
    await Promise.all([journal.close(), next.close(), one.engine.close(), other.engine.close()]);
    await pooler.stop();
  });
});

it("fenceEpochs: locks a session for at most a second when its process freezes in a write", async () => {
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
  const renewed = "renewed_at = renewed_at - interval '61 seconds'";
  await server.sql(`update ${where.schema}.nodes set ${renewed} where boot = $1`, ["one"]);
  await own(other, A);
  wake();
  await expect(writing).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE", details: { applied: false } });
  await database.close();
});
