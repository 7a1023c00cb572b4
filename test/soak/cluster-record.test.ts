import { expect, it, onTestFinished } from "vitest";
import { global } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes, expectNoFaults, scene } from "./cluster-scene.ts";

it("a client of a cluster: histories, schedules and lists of global sessions are those of before when nodes are killed", {
  timeout: 120_000,
}, async () => {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const at = await scene(server, ["one", "two", "three"]);
  const { cluster, model } = at;
  const { client } = cluster;
  const ann = client.session(global(["chat", "ann"]));
  const bob = client.session(global(["asking", "bob"]));
  await ann.describe({ title: "Ann's", labels: { user: "ann", tenant: "acme" } });
  await bob.describe({ labels: { user: "bob", tenant: "acme" } });
  await ann.query("append k1", { by: "ann", metadata: { ticket: 7 } });
  const asking = bob.query("append k2", { by: "bob" });
  await becomes(async () => (await bob.approvals()).length === 1);
  expect(await (await bob.approvals())[0]?.deny("not now", { by: "carol" })).toBe(true);
  await asking;

  // Its owner dies in the middle of a turn.
  const cut = ann.stream("talk k3", { by: "dan" });
  for await (const { type } of cut.events()) if (type === "text_delta") break;
  (await cluster.owner("chat", "ann")).kill("SIGKILL");
  await expect(cut.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  // The next owner dies before a schedule is due, and nobody asks for the session afterwards.
  const runAt = Date.now() + 4_000;
  const scheduled = await ann.enqueue("say k4", { runAt, by: "the calendar" });
  expect(await ann.schedules()).toMatchObject([{ id: scheduled, prompt: "say k4", nextAt: runAt }]);
  (await cluster.owner("chat", "ann")).kill("SIGKILL");
  await model.came("k4");
  expect(Date.now()).toBeGreaterThanOrEqual(runAt);
  expect((await (await ann.turn(scheduled))?.result())?.text).toBe("k4 answer 1");
  expect(await ann.schedules()).toEqual([]);

  const { entries } = await ann.history();
  const turns = entries.filter((entry) => entry.type === "turn");
  expect(turns).toMatchObject([
    { by: "ann", metadata: { ticket: 7 }, prompt: "append k1", state: "completed" },
    { by: "dan", prompt: "talk k3", state: "interrupted", error: { code: "TURN_INTERRUPTED" } },
    { by: "the calendar", prompt: "say k4", state: "completed" },
  ]);
  expect(turns[0]?.parts).toMatchObject([
    { type: "text", text: "I do it." },
    { type: "tool", name: "Bash", result: { failed: false } },
    { type: "text", text: "k1 answer 1" },
  ]);
  const asked = (await bob.history()).entries.filter((entry) => entry.type === "turn");
  expect(asked).toMatchObject([{ by: "bob", prompt: "append k2", state: "completed" }]);
  expect(asked[0]?.parts[1]).toMatchObject({
    type: "tool",
    result: { failed: true },
    approvals: [{ outcome: "denied", by: "carol" }],
  });
  expect(model.asked.filter(({ key }) => key === "k4")).toHaveLength(1);
  expect(model.appended).toEqual(["k1"]);

  const names = async (options: Parameters<typeof client.findSessions>[0]): Promise<unknown[]> =>
    (await client.findSessions(options)).map(({ name }) => name);
  expect(await names({ labels: { tenant: "acme" } })).toEqual([
    ["global", "asking", "bob"],
    ["global", "chat", "ann"],
  ]);
  expect(await names({ prefix: global("chat") })).toEqual([["global", "chat", "ann"]]);
  const [found] = await client.findSessions({ labels: { user: "ann" } });
  expect(found).toMatchObject({ title: "Ann's", state: "owned", node: await cluster.ownerOf("chat", "ann") });
  expect(found?.epoch).toBeGreaterThanOrEqual(3);
  await bob.describe({ archived: true });
  expect(await names({ labels: { tenant: "acme" } })).toEqual([["global", "chat", "ann"]]);
  expect(await names({ state: "archived" })).toEqual([["global", "asking", "bob"]]);
  await expectNoFaults(at);
});
