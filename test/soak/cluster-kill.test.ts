import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { global } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";
import { turnsOf } from "./cluster-verdict.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

describe("a session whose node is killed", () => {
  it("continues its conversation on another node, if it was idle", async () => {
    const at = await scene(server);
    const { cluster, model } = at;
    const session = cluster.client.session(global(["chat", "a"]));
    expect((await session.query("say k1")).text).toBe("k1 answer 1");
    const owner = await cluster.owner("chat", "a");
    owner.kill("SIGKILL");
    // The orphan killer ends them.
    await becomes(() => owner.processes.length === 0);
    await owner.loseTranscripts();
    const reply = await session.query("say k2");
    const next = await cluster.owner("chat", "a");
    expect(next.name).not.toBe(owner.name);
    expect(reply.text).toBe("k2 answer 1");
    expect(model.asked.map(({ key, node }) => [key, node])).toEqual([
      ["k1", owner.name],
      ["k2", next.name],
    ]);
    await expectNoFaults(at);
  });

  it("retries a turn that had shown nothing, and runs each waiting turn once", async () => {
    const at = await scene(server);
    const { cluster, model } = at;
    const session = cluster.client.session(global(["chat", "b"]));
    await session.query("say k1");
    const owner = await cluster.owner("chat", "b");
    const running = session.stream("hold k2");
    await model.came("k2");
    const waiting = await session.enqueue("append k3");
    {
      // The turn of a caller that leaves before it runs.
      await using other = connect(cluster.place);
      await other.session(global(["chat", "b"])).enqueue("append k4");
    }
    owner.kill("SIGKILL");
    expect((await running.result()).text).toBe("k2 answer 2");
    expect((await (await session.turn(waiting))?.result())?.text).toBe("k3 answer 1");
    await becomes(async () => (await turnsOf(cluster)).every(({ state }) => state === "completed"));
    const turns = (await turnsOf(cluster)).map(({ prompt, attempts }) => [prompt, attempts]);
    expect(turns).toEqual([
      ["say k1", 1],
      ["hold k2", 2],
      ["append k3", 1],
      ["append k4", 1],
    ]);
    expect(model.appended).toEqual(["k3", "k4"]);
    await becomes(() => owner.processes.length === 0);
    await expectNoFaults(at);
  });

  it("rejects a turn whose command runs with TURN_INTERRUPTED, and runs the waiting turns", async () => {
    const at = await scene(server);
    const { cluster, model } = at;
    const session = cluster.client.session(global(["chat", "c"]));
    const running = session.stream("linger k1");
    const ended = running.result().catch((error: unknown) => error);
    await model.done("k1");
    const waiting = await session.enqueue("say k2");
    const owner = await cluster.owner("chat", "c");
    owner.kill("SIGKILL");
    expect(await ended).toMatchObject({ code: "TURN_INTERRUPTED", details: { toolUses: [{ name: "Bash" }] } });
    expect((await (await session.turn(waiting))?.result())?.text).toBe("k2 answer 1");
    expect(model.appended).toEqual(["k1"]);
    await becomes(() => owner.processes.length === 0);
    await expectNoFaults(at);
  });
});
