import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CastellanError, global } from "../../src/index.ts";
import type { RealCluster } from "../cluster/real-cluster.ts";
import type { RealNode } from "../cluster/real-node.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/**
 * Returns when the run of a node was declared dead, by the clock of this machine. Undefined while it counts as
 * alive.
 */
async function givenUpAt({ server: database, schema }: RealCluster, { name }: RealNode): Promise<number | undefined> {
  const [row] = await database.sql<{ readonly at: number }>(
    `select extract(epoch from ended_at)::double precision * 1000 as at from ${schema}.nodes
     where name = $1 and ended_at is not null order by ended_at limit 1`,
    [name],
  );
  return row?.at;
}

describe("a node cut off from PostgreSQL", () => {
  it("ends its processes before another node claims their sessions, also in mid-turn", async () => {
    const at = await scene(server);
    const { cluster, model } = at;
    const session = cluster.client.session(global(["chat", "a"]));
    await session.query("say k1");
    const owner = await cluster.owner("chat", "a");
    const running = session.stream("hold k2");
    await model.came("k2");
    const waiting = await session.enqueue("append k3");
    expect(owner.processes.length).toBeGreaterThan(0);
    let [lastSeen, givenUp]: [number, number | undefined] = [0, undefined];
    owner.toPostgres.cut();
    await becomes(async () => {
      // Listing processes takes long on a busy machine.
      const now = Date.now();
      if (owner.processes.length > 0) lastSeen = now;
      givenUp ??= await givenUpAt(cluster, owner);
      return givenUp !== undefined;
    });
    expect(lastSeen).toBeGreaterThan(0);
    expect(lastSeen).toBeLessThan(givenUp ?? 0);
    expect((await running.result()).text).toBe("k2 answer 2");
    expect((await (await session.turn(waiting))?.result())?.text).toBe("k3 answer 1");
    expect((await cluster.owner("chat", "a")).name).not.toBe(owner.name);
    // It does not rejoin while it is cut off, and reports so.
    expect(await owner.look()).toMatchObject({ ready: false });
    owner.toPostgres.restore();
    await becomes(async () => (await owner.look()).ready);
    expect(await owner.query(["chat", "a"], "say k4")).toBe("k4 answer 1");
    await expectNoFaults(at);
  });
});

describe("nodes cut off from each other but not from PostgreSQL", () => {
  it("keep their sessions, reject unreachable ones with CLUSTER_UNAVAILABLE, and resume", async () => {
    const at = await scene(server, ["one", "two"], { cluster: { patience: "4s" } });
    const { cluster, model } = at;
    const session = cluster.client.session(global(["chat", "a"]));
    await session.query("say k1");
    const owner = await cluster.owner("chat", "a");
    const other = cluster.nodes.find(({ name }) => name !== owner.name);
    const running = session.stream("talk k2");
    const texts = running.text()[Symbol.asyncIterator]();
    await texts.next();
    owner.fromOthers.cut();
    // No node claims the session, since its owner is alive and keeps serving it.
    const refused = await other?.query(["chat", "a"], "say k3").catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "CLUSTER_UNAVAILABLE" });
    expect(await owner.query(["chat", "a"], "say k4")).toBe("k4 answer 1");
    expect((await cluster.owner("chat", "a")).name).toBe(owner.name);
    owner.fromOthers.restore();
    // The followed turn either ended well, or its caller learned that it may still be running.
    const end = await running.result().then(
      ({ text }) => text,
      (error: unknown) => (CastellanError.is(error) ? error.code : String(error)),
    );
    expect([`k2 answer 1${" and so on".repeat(30)}`, "CLUSTER_UNAVAILABLE"]).toContain(end);
    const found = await session.turn(running.id);
    expect((await found?.result())?.text).toBe(`k2 answer 1${" and so on".repeat(30)}`);
    expect(await other?.query(["chat", "a"], "say k5")).toBe("k5 answer 1");
    expect(model.asked.map(({ key }) => key)).toEqual(["k1", "k2", "k4", "k5"]);
    await expectNoFaults(at);
  });

  it("deliver a followed turn completely after a short break", async () => {
    const at = await scene(server, ["one", "two"]);
    const { cluster } = at;
    const session = cluster.client.session(global(["chat", "b"]));
    await session.query("say k1");
    const owner = await cluster.owner("chat", "b");
    const running = session.stream("talk k2");
    let text = "";
    for await (const piece of running.text()) {
      if (text === "") {
        owner.fromOthers.cut();
        owner.fromOthers.restore();
      }
      text += piece;
    }
    expect(text).toBe(`k2 answer 1${" and so on".repeat(30)}`);
    expect((await running.result()).text).toBe(text);
    await expectNoFaults(at);
  });
});
