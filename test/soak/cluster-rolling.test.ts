import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresServer } from "../journal/postgres-server.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

it("a rolling restart of three nodes under load: loses and repeats nothing", {
  timeout: 180_000,
}, async () => {
  const at = await scene(server);
  const { cluster, model } = at;
  const load = new ClusterLoad(cluster, 4);
  await load.isRunning(8, becomes);
  for (const name of ["one", "two", "three"]) {
    const node = cluster.node(name);
    node.kill("SIGTERM");
    await node.gone;
    expect(node.processes).toEqual([]);
    await cluster.join(name);
    await load.isRunning(8, becomes);
  }
  await load.stop();
  // Each turn completed with an answer of the model.
  expect(load.ends.filter(({ key, text }) => text?.startsWith(`${key} answer`) !== true)).toEqual([]);
  const queued = load.ends.map(({ key }) => key).filter((key) => key.endsWith("q"));
  expect(model.appended.toSorted()).toEqual(queued.toSorted());
  console.log(`${load.ends.length} turns, the slowest took ${Math.max(...load.ends.map(({ ms }) => ms))} ms`);
  await expectNoFaults(at);
});

it("nodes that join, leave and are killed under load: lose nothing, and interrupt at most the killed node's turns", {
  timeout: 180_000,
}, async () => {
  const at = await scene(server, ["one"]);
  const { cluster } = at;
  const load = new ClusterLoad(cluster, 3);
  await load.isRunning(4, becomes);
  const owners = async (): Promise<(string | undefined)[]> =>
    (await cluster.client.listSessions()).map(({ node }) => node);
  expect(new Set(await owners())).toEqual(new Set(["one"]));
  await Promise.all([cluster.join("two"), cluster.join("three")]);
  await load.isRunning(6, becomes);
  // Live sessions do not move when other nodes join.
  expect(new Set(await owners())).toEqual(new Set(["one"]));
  cluster.node("one").kill("SIGTERM");
  await cluster.node("one").gone;
  await load.isRunning(6, becomes);
  expect(await owners()).not.toContain("one");
  const [victim = ""] = (await owners()).filter((name) => name !== undefined);
  cluster.node(victim).kill("SIGKILL");
  await load.isRunning(8, becomes);
  await load.stop();
  // Only a turn that had begun to act when its node was killed may be interrupted.
  const cut = load.ends.filter(({ text }) => text === undefined);
  expect(cut.filter(({ code }) => code !== "TURN_INTERRUPTED")).toEqual([]);
  expect(cut.length).toBeLessThanOrEqual(3);
  await becomes(() => cluster.node(victim).processes.length === 0);
  await expectNoFaults(at);
});
