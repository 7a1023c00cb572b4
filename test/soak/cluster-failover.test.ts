import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { global } from "../../src/index.ts";
import { ReplicatedServer } from "../cluster/replicated-server.ts";
import { ClusterLoad } from "./cluster-load.ts";
import { promptsOf } from "./cluster-model.ts";
import { becomes, expectNoFaults, type Scene, scene } from "./cluster-scene.ts";
import { turnsOf } from "./cluster-verdict.ts";
import { chainFaults } from "./transcript-chains.ts";

/** Longer than a node may act without the database. */
const BEYOND_LEASES_MS = 4_000;

interface Replicated extends Scene {
  readonly servers: ReplicatedServer;
  /** Promotes the standby, after the given delay. */
  failOver(afterMs?: number): Promise<void>;
}

async function replicated(): Promise<Replicated> {
  const servers = await ReplicatedServer.start();
  const at = await scene(servers.primary, undefined, { port: servers.port });
  const failOver = async (afterMs = 0): Promise<void> => {
    await servers.losePrimary();
    await delay(afterMs);
    await servers.promote();
    at.cluster.server = servers.standby;
  };
  return { ...at, servers, failOver };
}

async function loadOver(at: Replicated, awayMs: number): Promise<ClusterLoad> {
  const { cluster, servers } = at;
  const load = new ClusterLoad(cluster, 3);
  await load.isRunning(12, becomes);
  servers.lag();
  await load.isRunning(12, becomes);
  await at.failOver(awayMs);
  await load.isRunning(12, becomes);
  await load.stop();
  return load;
}

async function promptsIn({ cluster }: Scene): Promise<Set<string>> {
  return new Set((await turnsOf(cluster)).map(({ prompt }) => prompt.split(" ")[1] ?? ""));
}

it("failover to a replica that lacks commits: loses and repeats nothing that was acknowledged", {
  timeout: 180_000,
}, async () => {
  const at = await replicated();
  const load = await loadOver(at, 0);
  const codes = new Set(load.ends.flatMap(({ code }) => code ?? []));
  expect([...codes].filter((code) => code !== "TURN_INTERRUPTED")).toEqual([]);
  const known = await promptsIn(at);
  expect(load.ends.filter(({ key, text }) => text !== undefined && !known.has(key))).toEqual([]);
  expect(await chainFaults(at.cluster)).toEqual([]);
  const told = at.cluster.nodes.flatMap(({ warnings }) => warnings).join("\n");
  expect(told).toMatch(/lacked \d+ batches of the journal, which this node wrote again/);
  await expectNoFaults(at);
});

it("failover to such a replica after every lease has ended: loses and repeats nothing that was acknowledged", {
  timeout: 180_000,
}, async () => {
  const at = await replicated();
  const load = await loadOver(at, BEYOND_LEASES_MS);
  const codes = new Set(load.ends.flatMap(({ code }) => code ?? []));
  expect([...codes].filter((code) => code !== "TURN_INTERRUPTED")).toEqual([]);
  const known = await promptsIn(at);
  expect(load.ends.filter(({ key, text }) => text !== undefined && !known.has(key))).toEqual([]);
  expect(await chainFaults(at.cluster)).toEqual([]);
  await expectNoFaults(at);
});

it("loss of the primary together with a session's node: rejects with TURN_LOST, and does not run the turn again", {
  timeout: 180_000,
}, async () => {
  const at = await replicated();
  const { cluster, model, servers } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  await session.query("say k1");
  await servers.replicated();
  servers.lag();
  const owner = await cluster.owner("chat", "a");
  const running = session.query("hold k2").catch((error: unknown) => error);
  await model.came("k2");
  const waiting = await session.enqueue("append k3");
  owner.kill("SIGKILL");
  await at.failOver();
  expect(await running).toMatchObject({ code: "TURN_LOST", details: { partialText: "" } });
  await expect(session.turn(waiting)).rejects.toMatchObject({ code: "TURN_LOST", details: { turnId: waiting } });
  expect((await session.query("say k4")).text).toBe("k4 answer 1");
  expect(model.asked.map(({ key }) => key)).toEqual(["k1", "k2", "k4"]);
  expect(model.appended).toEqual([]);
  expect(await chainFaults(cluster)).toEqual([]);
  await becomes(() => owner.processes.length === 0);
  await expectNoFaults(at);
});

it("failover with synchronous replication: loses and interrupts nothing", { timeout: 180_000 }, async () => {
  const at = await replicated();
  const { cluster, servers } = at;
  await servers.primary.sql("alter system set synchronous_standby_names = 'standby'");
  await servers.primary.sql("select pg_reload_conf()");
  const load = new ClusterLoad(cluster, 3);
  await load.isRunning(12, becomes);
  await at.failOver();
  await load.isRunning(12, becomes);
  await load.stop();
  expect(load.ends.filter(({ code }) => code !== undefined && code !== "TURN_INTERRUPTED")).toEqual([]);
  const told = cluster.nodes.flatMap(({ warnings }) => warnings).join("\n");
  expect(told).not.toContain("which this node wrote again");
  await expectNoFaults(at);
});

it("a transcript that lost entries in its middle: is resumed from its beginning", {
  timeout: 60_000,
}, async () => {
  const at = await replicated();
  const { cluster, model } = at;
  const session = cluster.client.session(global(["chat", "a"]));
  for (const key of ["k1", "k2", "k3"]) {
    await session.query(`say ${key}`);
    await session.hibernate();
  }
  const { schema, server } = cluster;
  await server.sql(
    `delete from ${schema}.journal_transcript_parts
     where number >= (select min(number) from ${schema}.journal_transcript_parts where lines like '%k1 answer%')
       and number < (select min(number) from ${schema}.journal_transcript_parts where lines like '%say k3%' and lines like '%"type":"user"%')`,
  );
  expect(await chainFaults(cluster)).not.toEqual([]);
  const owner = await cluster.owner("chat", "a");
  await owner.loseTranscripts();
  await session.move(owner.name === "one" ? "two" : "one");
  await session.query("say k4");
  const said = promptsOf([...model.conversations.values()].at(-1) ?? []);
  expect(said.map(({ key }) => key)).toEqual(["k1", "k3", "k4"]);
  const prompts = (await session.transcript()).flatMap(({ message }) => /say k\d/.exec(JSON.stringify(message)) ?? []);
  expect(prompts.map(String)).toEqual(["say k1", "say k3", "say k4"]);
});
