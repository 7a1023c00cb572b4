import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { type ClusterJournal, clusterJournal } from "../../src/cluster/cluster-journal.ts";
import { ClusterNode } from "../../src/cluster/node.ts";
import { JOIN, joinValues } from "../../src/cluster/postgres/node-rows.ts";
import { postgresEngine } from "../../src/cluster/postgres/postgres-engine.ts";
import { ReplayBuffer } from "../../src/cluster/replay-buffer.ts";
import { CastellanError } from "../../src/errors.ts";
import type { Batch } from "../../src/journal/model/change.ts";
import type { Query } from "../../src/journal/postgres/postgres-database.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { METRICS } from "../../src/telemetry/otel.ts";
import { node } from "../cluster/engine-conformance.ts";
import { type OwningNode, own, owningNode } from "../cluster/postgres-scene.ts";
import { BackedUpDatabase } from "../journal/backed-up-database.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { measured } from "../telemetry/measured.ts";
import { collectEvents } from "../telemetry/published-events.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const A = '["global","a"]';
const IDLE = { load: 0, draining: false };

function accepted(number: number): Batch {
  const turn = { id: `t${number}`, session: A, prompt: "", position: number, durable: true, acceptedAt: number };
  return { number, durable: true, sessions: [A], changes: [{ type: "turn_accepted", turn }] };
}

interface Written {
  readonly database: BackedUpDatabase;
  readonly replay: ReplayBuffer;
  readonly warnings: string[];
  journalOf(machine: OwningNode): Promise<ClusterJournal>;
}

async function scene(): Promise<Written> {
  const database = await BackedUpDatabase.create(server);
  const warnings: string[] = [];
  const replay = new ReplayBuffer(postgresLocation(database.place), systemClock, (message) => warnings.push(message));
  const journalOf = async ({ boot, owned }: OwningNode): Promise<ClusterJournal> => {
    const rejoin = (query: Query): Promise<unknown> => query(JOIN, joinValues(node(boot, { staleMs: 60_000 })));
    const run = { boot, rejoin };
    const journal = clusterJournal(database.place, run, owned, () => true, systemClock, {
      recent: () => replay.batchesOf(boot),
      onMissing: (missing) => replay.reportMissing(missing),
    });
    await journal.open({ id: boot, pid: 1, host: "h", startedAt: 0 });
    onTestFinished(() => journal.close());
    return journal;
  };
  return { database, replay, warnings, journalOf };
}

async function turns(database: BackedUpDatabase): Promise<string[]> {
  return (await database.sql<{ id: string }>("select id from turns order by id")).map(({ id }) => id);
}

it("ClusterJournal: keeps the sessions of a run that the restored database has never heard of", async () => {
  const { database, journalOf } = await scene();
  await owningNode(database.place, "before");
  await database.backUp();
  const one = await owningNode(database.place, "one", A);
  const journal = await journalOf(one);
  await journal.write(accepted(1));
  await database.putBack();
  expect(await one.engine.renew("one", IDLE)).toBe(true);
  await journal.write(accepted(2));
  expect(await turns(database)).toEqual(["t1", "t2"]);
  expect(await one.engine.ownerOf(A)).toMatchObject({ boot: "one", epoch: 1 });
});

it("ReplayBuffer: rewrites what an ended run wrote before any node may claim its sessions", async () => {
  using gaps = collectEvents("castellan:database:gap");
  const { database, replay, warnings, journalOf } = await scene();
  const one = await owningNode(database.place, "one", A);
  const other = await owningNode(database.place, "other");
  const journal = await journalOf(one);
  await journal.write(accepted(1));
  await database.backUp();
  const part = { session: A, conversationId: "c", lines: "{}\n" };
  const { changes, ...batch } = accepted(2);
  await journal.write({ ...batch, changes: [...changes, { type: "transcript_appended", part }] });
  await database.putBack();
  await replay.restore();
  await one.engine.leave("one");
  expect(await other.engine.claim("other", A)).toMatchObject({ taken: false });
  expect(await turns(database)).toEqual(["t1", "t2"]);
  expect(await database.sql("select lines from journal_transcript_parts")).toEqual([{ lines: "{}\n" }]);
  expect(warnings.join("\n")).toContain("lacked 1 batches of the journal");
  expect(gaps.heard).toMatchObject([{ content: "journal", count: 1, lost: false }]);
  await database.sql("update history set claims_from = clock_timestamp()");
  // Above every epoch that the lost part of the database can have had.
  expect(await other.engine.claim("other", A)).toEqual({ taken: true, epoch: 1_001 });
  await replay.restore();
  expect(warnings).toHaveLength(1);
});

it("ClusterJournal: writes what became of a turn again that an earlier owner had accepted, and the next one as well", async () => {
  const { database, journalOf } = await scene();
  const one = await owningNode(database.place, "one");
  const two = await owningNode(database.place, "two");
  await database.backUp();
  await own(one, A);
  const first = await journalOf(one);
  await first.write(accepted(1));
  await first.close();
  await one.engine.release("one", A, one.owned.epochOf(A) ?? 0);
  await one.engine.leave("one");
  await own(two, A);
  const journal = await journalOf(two);
  const { changes, ...batch } = accepted(1);
  const end = { type: "turn_ended", turn: "t1", state: "completed", at: 2, outcome: { text: "done" } } as const;
  await journal.write({ ...batch, changes: [...changes, end] });
  expect(await journal.turn("t1")).toMatchObject({ state: "completed", acceptedAt: 1 });
  await database.putBack();
  expect(await turns(database)).toEqual([]);
  await journal.catchUp();
  expect(await journal.turn("t1")).toMatchObject({ state: "completed", acceptedAt: 1, outcome: { text: "done" } });
  expect(await turns(database)).toEqual(["t1"]);
});

it("ReplayBuffer: reports batches as lost once another run has claimed the session without them", async () => {
  const { database, replay, warnings, journalOf } = await scene();
  const other = await owningNode(database.place, "other");
  await database.backUp();
  const one = await owningNode(database.place, "one", A);
  const journal = await journalOf(one);
  await journal.write(accepted(1));
  await database.putBack();
  await own(other, A);
  await expect(journal.write(accepted(2))).rejects.toMatchObject({ code: "NOT_OWNER" });
  await replay.restore();
  expect(await turns(database)).toEqual([]);
  expect(warnings.join("\n")).toContain("turns, replies and costs are lost");
  expect(await other.engine.ownerOf(A)).toMatchObject({ boot: "other" });
});

it("ClusterJournal: restores a forgotten claim of an idle run when it catches up", async () => {
  const { database, journalOf } = await scene();
  const other = await owningNode(database.place, "other");
  const one = await owningNode(database.place, "one");
  const journal = await journalOf(one);
  await database.backUp();
  await own(one, A);
  await database.putBack();
  await journal.catchUp();
  expect(await one.engine.ownerOf(A)).toMatchObject({ boot: "one" });
  expect(await other.engine.claim("other", A)).toMatchObject({ taken: false, owner: { boot: "one" } });
});

it("Engine after a change of history: grants no claim until every live run has caught up, and unknown ones have expired", async () => {
  const { database } = await scene();
  const one = await owningNode(database.place, "one");
  const era = one.engine.era ?? 0;
  await database.sql("update history set identity = 'of another server'");
  expect(await one.engine.claim("one", A)).toEqual({ taken: false, owner: undefined });
  expect(await one.engine.renew("one", IDLE)).toBe(true);
  const begun = one.engine.era ?? 0;
  expect(begun).toBeGreaterThan(era);
  const [held] = await database.sql(
    "select claims_from > clock_timestamp() + interval '55 seconds' as held from history",
  );
  expect(held).toEqual({ held: true });
  // Until every run that may be alive has reported what it knows.
  const other = await owningNode(database.place, "other");
  expect(await other.engine.claim("other", A)).toMatchObject({ taken: false });
  // What it has written in an earlier era may be lost.
  await one.engine.caughtUp?.("one", era);
  const [waits] = await database.sql("select claims_from > claims_not_before as held from history");
  expect(waits).toEqual({ held: true });
  await one.engine.caughtUp?.("one", begun);
  // A node that joined within what the database has lost may act until its lease is over.
  expect(await other.engine.claim("other", A)).toMatchObject({ taken: false });
  await one.engine.caughtUp?.("one", begun);
  const [left] = await database.sql(
    "select claims_from = claims_not_before as exact, claims_from > clock_timestamp() + interval '45 seconds' as held from history",
  );
  expect(left).toEqual({ exact: true, held: true });
  await database.sql("update history set claims_from = clock_timestamp()");
  expect(await other.engine.claim("other", A)).toMatchObject({ taken: true });
});

it("Engine: has another era for each history that begins at the same state", async () => {
  const { database } = await scene();
  const one = await owningNode(database.place, "one");
  const [before] = await database.sql<{ era: string }>("select era from history");
  const eras = new Set<number | undefined>([one.engine.era]);
  for (const identity of ["of one replica", "of another replica"]) {
    await database.sql("update history set identity = $1, era = $2", [identity, before?.era]);
    expect(await one.engine.renew("one", IDLE)).toBe(true);
    eras.add(one.engine.era);
  }
  expect(eras.size).toBe(3);
});

it("castellan:database:failover: is published once per history, also after the node has rejoined as another run", async () => {
  const { stop, points } = measured();
  using histories = collectEvents("castellan:database:failover");
  const { database } = await scene();
  const engine = postgresEngine({ ...database.place, renewTimeoutMs: 5_000, listen: false }, systemClock);
  onTestFinished(() => engine.close());
  const clock = new SimulatedClock();
  let lose = (_cause: CastellanError): void => {};
  let boots = 0;
  const { boot: _, staleMs, ...description } = node("", { name: "n", staleMs: 60_000 });
  const settings = { description, beatMs: 1_000, staleMs, marginMs: 10_000, wanted: [] };
  const member = await ClusterNode.join(settings, {
    engine,
    clock,
    newId: () => `run-${++boots}`,
    random: () => 0,
    warn: () => {},
    openHost: async (_boot, _holdings, lost) => {
      lose = lost;
      const nothing = async (): Promise<void> => {};
      const sessions = { session: unreachable, pool: unreachable, load: 0, eraseFiles: unreachable };
      return { ...sessions, release: nothing, kill: nothing, stop: nothing };
    },
  });
  const changed = async (identity: string): Promise<void> => {
    await database.sql(`update history set identity = '${identity}'`);
  };
  const beats = async (count: number): Promise<void> => {
    await expect
      .poll(async () => {
        await clock.advance(1_000);
        return histories.heard.length;
      })
      .toBe(count);
  };
  expect(histories.heard).toEqual([]);
  await changed("one");
  await beats(1);
  await changed("two");
  lose(new CastellanError("NOT_OWNER", "it is lost"));
  await beats(2);
  const [first, second] = histories.heard;
  expect(first).toMatchObject({ node: "n", boot: "run-1" });
  expect(second).toEqual({ node: "n", boot: "run-2", era: expect.any(Number) });
  expect(second?.era).toBeGreaterThan(first?.era ?? 0);
  expect(await points(METRICS.databaseFailovers)).toEqual([{ "castellan.node.name": "n", value: 2 }]);
  await member.drain(0);
  stop();
});

function unreachable(): never {
  throw new Error("nobody asks for that");
}
