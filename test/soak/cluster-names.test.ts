import { expect, onTestFinished, test } from "vitest";
import { global } from "../../src/index.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

const SPANS = { beat: "300ms", staleAfter: "4s", margin: "500ms", patience: "20s" } as const;

async function twoNodes(): Promise<RealCluster> {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const cluster = await RealCluster.start({ server, claude: "fake", cluster: SPANS, deadlineMs: 100 }, "one", "two");
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

test("a second live node of one name is refused, and the first goes on undisturbed", async () => {
  const cluster = await twoNodes();
  const first = cluster.node("one");
  const name = global(["chat", "a"]);
  await cluster.client.session(name).move("one");
  const turn = cluster.client.stream(name, "hang");
  for await (const text of turn.text()) if (text === "begun") break;
  await expect(cluster.join("one")).rejects.toThrow(
    /a live node "one", at http:\/\/127\.0\.0\.1:\d+\. Give this node another/,
  );
  expect(await cluster.client.listSessions()).toEqual([{ name: ["global", "chat", "a"], node: "one", epoch: 1 }]);
  expect((await cluster.client.nodes()).map(({ name: each, state }) => [each, state])).toEqual([
    ["one", "alive"],
    ["two", "alive"],
  ]);
  expect((await cluster.client.session(name).current())?.id).toBe(turn.id);
  expect((await first.look()).ready).toBe(true);
  await cluster.client.session(name).interrupt();
  expect((await cluster.client.query(name, "hi")).text).toBe(`hi on ${first.pid}`);
});

test("a node that stopped properly has its name back at once; one that was killed, once it counts as dead", async () => {
  const cluster = await twoNodes();
  const two = cluster.node("two");
  two.kill("SIGTERM");
  await two.gone;
  const since = performance.now();
  const again = await cluster.join("two");
  const tookMs = performance.now() - since;
  again.kill("SIGKILL");
  await again.gone;
  const killed = performance.now();
  await cluster.join("two");
  const waitedMs = performance.now() - killed;
  expect(waitedMs).toBeGreaterThan(3_000);
  // The start of its process, and the rest of `staleAfter`.
  expect(waitedMs).toBeLessThan(tookMs + 6_000);
  const names = (await cluster.client.nodes()).filter(({ state }) => state === "alive").map(({ name }) => name);
  expect(names).toEqual(["one", "two"]);
});

test("a node that is cut off, and has lost its name, does not come back under it until the name is free", async () => {
  const cluster = await twoNodes();
  const cut = cluster.node("two");
  cut.toPostgres.cut();
  await expect.poll(async () => (await cut.look()).ready, { timeout: 20_000 }).toBe(false);
  const other = await cluster.join("two");
  cut.toPostgres.restore();
  await expect.poll(async () => (await cut.look()).reasons.join(), { timeout: 20_000 }).toContain("a live node");
  expect((await other.look()).ready).toBe(true);
  expect((await cluster.client.nodes()).filter(({ state }) => state === "alive")).toHaveLength(2);
  other.kill("SIGTERM");
  await other.gone;
  await expect.poll(async () => (await cut.look()).ready, { timeout: 20_000 }).toBe(true);
});
