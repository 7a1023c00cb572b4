import { afterAll, beforeAll, expect, it } from "vitest";
import { global } from "../../src/index.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";
import { entriesOf } from "./transcript-chains.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

it("a conversation of 20 MB with images: is resumed on a node with other paths", {
  timeout: 120_000,
}, async () => {
  const at = await scene(server, ["one", "two"]);
  const { cluster } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  for (let n = 1; n <= 8; n++) expect((await session.query(`look k${n}`)).text).toBe(`k${n} answer 1`);
  // Claude Code keeps copies of edited files in the transcript, which the model never gets. The same amount of text
  // would exceed the model's limit.
  const entry = JSON.stringify({ type: "file-history-snapshot", snapshot: { backup: "x".repeat(3_000_000) } });
  const { schema } = cluster;
  await server.sql(
    `insert into ${schema}.journal_transcript_parts (transcript, number, lines)
     select transcript, max(number) + n, $1 from ${schema}.journal_transcript_parts, generate_series(1, 5) as n
     group by transcript, n`,
    [`${entry}\n`],
  );
  const [size] = await server.sql<{ readonly bytes: string }>(
    `select sum(length(lines)) as bytes from ${cluster.schema}.journal_transcript_parts`,
  );
  expect(Number(size?.bytes)).toBeGreaterThan(20_000_000);
  const owner = await cluster.owner("chat", "a");
  owner.kill("SIGKILL");
  await becomes(() => owner.processes.length === 0);
  await owner.loseTranscripts();
  expect((await session.query("say k9")).text).toBe("k9 answer 1");
  expect((await cluster.owner("chat", "a")).name).not.toBe(owner.name);
  const transcript = await session.transcript();
  expect(JSON.stringify(transcript)).toContain('"type":"image"');
  await expectNoFaults(at);
});

it("a conversation that an earlier release kept in the cluster's session store: continues on any node", {
  timeout: 120_000,
}, async () => {
  const at = await scene(server, ["one", "two"]);
  const { cluster } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  for (const key of ["k1", "k2"]) await session.query(`say ${key}`);
  const owner = await cluster.owner("chat", "a");
  const other = owner.name === "one" ? "two" : "one";
  await session.hibernate();
  // The state that an earlier release leaves.
  const { schema } = cluster;
  await using former = postgresSessionStore({ postgres: server.url(), schema });
  const rows = await entriesOf(server, schema);
  const key = { projectKey: "global", sessionId: rows[0]?.conversation ?? "" };
  await former.append(
    key,
    rows.map(({ entry }) => entry),
  );
  await session.move(other);
  await server.sql(`delete from ${schema}.journal_transcripts`);
  await server.sql(`update ${schema}.sessions set memory = (memory::jsonb || '{"projectKey":"-work"}')::json`);
  for (const node of cluster.nodes) {
    node.kill("SIGKILL");
    await node.gone;
    await node.loseTranscripts();
  }
  const third = await cluster.join("three");
  expect((await session.query("say k3")).text).toBe("k3 answer 1");
  expect(await cluster.ownerOf("chat", "a")).toBe(third.name);
  expect(JSON.stringify(await session.history())).toContain("k1 answer 1");
  expect(await former.load(key)).toBeNull();
  await expectNoFaults(at);
});

it("a cluster behind a transaction pooler: runs turns, and takes over after a stop and a kill", {
  timeout: 120_000,
}, async () => {
  const pooler = await TransactionPooler.start(server.url(), 4);
  try {
    const at = await scene(server, ["one", "two"], { port: pooler.port, cluster: { notifications: false } });
    const { cluster } = at;
    const load = new ClusterLoad(cluster, 2);
    await load.isRunning(6, becomes);
    cluster.node("one").kill("SIGTERM");
    await cluster.node("one").gone;
    await load.isRunning(4, becomes);
    await cluster.join("one");
    cluster.node("two").kill("SIGKILL");
    await load.isRunning(4, becomes);
    await load.stop();
    const cut = load.ends.filter(({ text }) => text === undefined);
    expect(cut.filter(({ code }) => code !== "TURN_INTERRUPTED")).toEqual([]);
    expect(pooler.transactions).toBeGreaterThan(100);
    expect(await server.sql("select from pg_locks where locktype = 'advisory'")).toEqual([]);
    await expectNoFaults(at);
    await cluster[Symbol.asyncDispose]();
  } finally {
    await pooler.stop();
  }
});
