import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { SlowLine } from "../journal/slow-line.ts";
import { PostgresLoad } from "./postgres-load.ts";

let server: PostgresServer;
let line: SlowLine;

beforeAll(async () => {
  server = await PostgresServer.start();
});

beforeEach(async () => {
  line = await SlowLine.start(server.port);
});

afterEach(async () => {
  await line.stop();
});

afterAll(async () => {
  await server?.remove();
});

const FINE = { lost: 0, doubled: 0 };

it("a database that takes 200 ms for each query: delays turns, and refuses, loses and doubles none", async () => {
  line.delayMs = 200;
  const where = server.fresh(line.port);
  const load = await PostgresLoad.start(where);
  await load.runs(5);
  expect(await load.verdict(where)).toMatchObject({ ...FINE, refused: {} });
  expect(line.most).toBeLessThanOrEqual(4);
});

it("a database that becomes slow and fast again under load: loses and doubles nothing", async () => {
  const where = server.fresh(line.port);
  const load = await PostgresLoad.start(where);
  for (const delayMs of [0, 200, 0, 500, 0]) {
    line.delayMs = delayMs;
    await load.runs(delayMs === 500 ? 1 : 4);
  }
  expect(await load.verdict(where)).toMatchObject(FINE);
});

it("a cluster on a database that takes 200 ms for each query: keeps its leases, and answers", async () => {
  line.delayMs = 200;
  const cluster = await RealCluster.start({ server, port: line.port, claude: "fake" }, "one", "two");
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const sessions = ["a", "b", "c"].map((name) => cluster.client.session(cluster.nameOf("chat", name)));
  for (let turn = 1; turn <= 4; turn++) {
    const replies = await Promise.all(sessions.map((session) => session.query(`turn ${turn}`)));
    for (const { text } of replies) expect(text).toContain(`turn ${turn}`);
  }
  const warnings = cluster.nodes.flatMap((node) => node.warnings);
  expect(warnings.filter((warning) => !warning.includes("fsync"))).toEqual([]);
  const epochs = await server.sql<{ readonly epoch: string }>(`select epoch from ${cluster.schema}.globals`);
  expect(epochs.map(({ epoch }) => epoch)).toEqual(["1", "1", "1"]);
});

it("a node of a cluster with sixty sessions that begin at once: has at most 14 connections, and a client 4", {
  timeout: 120_000,
}, async () => {
  const cluster = await RealCluster.start({ server, port: line.port, claude: "fake" }, "one", "two");
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const names = Array.from({ length: 60 }, (_, n) => cluster.nameOf("chat", `s${n}`));
  const replies = await Promise.all(names.map((name) => cluster.client.session(name).query("hello")));
  expect(replies).toHaveLength(60);
  await server.cutConnections();
  expect(await Promise.all(names.map((name) => cluster.client.session(name).query("again")))).toHaveLength(60);
  console.log(`${line.most} connections at most, ${line.total} in all`);
  expect(line.most).toBeLessThanOrEqual(2 * 14 + 4);
});
