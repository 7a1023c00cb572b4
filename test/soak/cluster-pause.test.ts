import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { global } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";
import { turnsOf } from "./cluster-verdict.ts";

/** How long the owner is stopped, in milliseconds. */
const PAUSE_MS = 30_000;

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

it("a node stopped for half a minute: does nothing as an owner afterwards, and joins as a new run", {
  timeout: 120_000,
}, async () => {
  const at = await scene(server);
  const { cluster, model } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  await session.query("say k1");
  const owner = await cluster.owner("chat", "a");
  const other = await cluster.client.query(global(["chat", "b"]), "say o1").then(() => cluster.owner("chat", "b"));
  const running = session.stream("hold k2");
  await model.came("k2");
  const waiting = await session.enqueue("say k3");
  owner.kill("SIGSTOP");
  const resumed = delay(PAUSE_MS).then(() => owner.kill("SIGCONT"));

  expect((await running.result()).text).toBe("k2 answer 2");
  expect((await (await session.turn(waiting))?.result())?.text).toBe("k3 answer 1");
  const next = await cluster.owner("chat", "a");
  expect(next.name).not.toBe(owner.name);
  // Its process may still get an answer, but its node cannot write it any more.
  model.release();
  await session.query("say k4");
  const [asked, turns] = [model.asked.length, JSON.stringify(await turnsOf(cluster))];
  const entries = async (): Promise<unknown> =>
    await cluster.server.sql(`select count(*), max(number) from ${cluster.schema}.journal_transcript_parts`);
  const before = await entries();
  await resumed;

  // The node notices by its clocks before it asks anybody. It ends its sessions, and joins as another run.
  await becomes(() => owner.processes.length === 0);
  await becomes(async () => {
    const { state } =
      (await cluster.client.nodes()).find(({ name, state }) => name === owner.name && state !== "dead") ?? {};
    return state === "alive";
  });
  await becomes(async () => (await owner.look()).ready);
  expect(owner.warnings.join()).toContain(`Node ${owner.name}`);
  expect(await entries()).toEqual(before);
  expect(JSON.stringify(await turnsOf(cluster))).toBe(turns);
  expect(model.asked.length).toBe(asked);
  expect((await cluster.owner("chat", "a")).name).toBe(next.name);
  // It is a node like any other again.
  expect(await owner.query(["chat", "a"], "say k5")).toBe("k5 answer 1");
  await session.move(owner.name);
  expect((await session.query("say k6")).text).toBe("k6 answer 1");
  expect((await cluster.owner("chat", "a")).name).toBe(owner.name);
  expect(other.name).toBeDefined();
  await expectNoFaults(at);
});
