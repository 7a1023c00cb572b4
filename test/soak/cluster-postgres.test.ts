import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { global } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";

/** How long PostgreSQL is down, in milliseconds. */
const AWAY_MS = 60_000;

let server: PostgresServer;

beforeEach(async () => {
  server = await PostgresServer.start();
});

afterEach(async () => {
  await server?.remove();
});

it("a cluster under load while PostgreSQL is restarted and crashes: interrupts turns at most, and loses none", {
  timeout: 180_000,
}, async () => {
  const at = await scene(server);
  const { cluster } = at;
  const load = new ClusterLoad(cluster, 3);
  await load.isRunning(4, becomes);
  for (const how of ["stop", "crash"] as const) {
    await server.end(how);
    await server.start();
    await load.isRunning(8, becomes);
  }
  await load.stop();
  // If the restart takes longer than a lease, a turn that had begun to act is interrupted.
  const codes = new Set(load.ends.flatMap(({ code }) => (code === undefined ? [] : [code])));
  expect([...codes].filter((code) => code !== "TURN_INTERRUPTED")).toEqual([]);
  await expectNoFaults(at);
});

it("a cluster without PostgreSQL for a minute: rejects calls in time, and resumes", {
  timeout: 180_000,
}, async () => {
  const at = await scene(server, undefined, { cluster: { patience: "4s" } });
  const { cluster, model } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  await session.query("say k1");
  const id = await session.enqueue("hold k2");
  await model.came("k2");
  await session.enqueue("append k3");
  await server.end("crash");
  const back = delay(AWAY_MS).then(() => server.start());

  const since = performance.now();
  const refusals = await Promise.all([
    session.query("say k4").catch((error: unknown) => error),
    cluster.nodes[1]?.query(["chat", "b"], "say k5").catch((error: unknown) => error),
    cluster.client.listSessions().catch((error: unknown) => error),
  ]);
  for (const refusal of refusals) {
    const code = expect.stringMatching(/^(JOURNAL|CLUSTER|DATABASE)_UNAVAILABLE$/);
    expect(refusal).toMatchObject({ code });
  }
  expect(performance.now() - since).toBeLessThan(20_000);
  // No node can know whether it still owns its sessions.
  await becomes(() => cluster.processes.length === 0);
  for (const node of cluster.nodes) expect(await node.look()).toMatchObject({ ready: false });
  await back;

  for (const node of cluster.nodes) await becomes(async () => (await node.look()).ready);
  await becomes(async () => (await session.turn(id).catch(() => undefined)) !== undefined);
  expect((await (await session.turn(id))?.result())?.text).toBe("k2 answer 2");
  expect((await session.query("say k6")).text).toBe("k6 answer 1");
  expect(model.appended).toEqual(["k3"]);
  // An unacknowledged turn did not run.
  expect(model.asked.map(({ key }) => key)).not.toContain("k5");
  await expectNoFaults(at);
});
