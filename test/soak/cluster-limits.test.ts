import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type ClusterOptions, type GlobalName, global } from "../../src/index.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/** Two nodes, and as many sessions on each. */
async function twoNodes(own: Partial<ClusterOptions>, count: number) {
  const spans = { beat: "300ms", staleAfter: "4s", margin: "500ms", patience: "20s" } as const;
  const options = { server, claude: "fake", cluster: { ...spans, ...own }, deadlineMs: 100 } as const;
  const cluster = await RealCluster.start(options, "one", "two");
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const names = ["one", "two"].map((node) =>
    Array.from({ length: count }, (_, n): GlobalName => global(["chat", `${node} ${n}`])),
  );
  const moves = names.flatMap((some, at) => some.map((name) => cluster.client.move(name, at === 0 ? "one" : "two")));
  await Promise.all(moves);
  return { cluster, names: names as [GlobalName[], GlobalName[]] };
}

test("`cluster.maxConcurrentTurns` limits the running turns on all nodes together, and none starves", async () => {
  const { cluster, names } = await twoNodes({ maxConcurrentTurns: 2 }, 3);
  const turns = names.flat().map((name) => ({ name, turn: cluster.client.stream(name, "hang") }));
  const running = () => turns.filter(({ turn }) => turn.state === "running");
  const ended = new Set<unknown>();
  for (let left = turns.length; left > 0; left--) {
    await expect.poll(() => running().length, { timeout: 20_000 }).toBe(Math.min(2, left));
    // Several beats, in which nodes divide the limit anew.
    await expect
      .poll(async () => (await cluster.client.nodes()).reduce((sum, { report }) => sum + (report?.turns ?? 0), 0))
      .toBe(Math.min(2, left));
    expect(running()).toHaveLength(Math.min(2, left));
    const [first] = running();
    if (first === undefined) throw new Error("no turn runs");
    await cluster.client.session(first.name).interrupt();
    ended.add(first.name);
  }
  expect(ended.size).toBe(turns.length);
});

test("`cluster.budget` counts what global sessions spend on all nodes, also after the loss of one", async () => {
  const { cluster, names } = await twoNodes({ budget: { usd: 0.035 } }, 1);
  const [[one], [two]] = names as [[GlobalName], [GlobalName]];
  const refused = async (name: GlobalName): Promise<unknown> =>
    await cluster.client.query(name, "hi").then(
      () => undefined,
      ({ code, details }: { code: string; details: unknown }) => ({ code, details }),
    );
  const spent = {
    code: "BUDGET_EXCEEDED",
    details: { scope: "supervisor", limitUsd: 0.035, spentUsd: expect.any(Number) },
  };
  for (let n = 0; n < 20 && (await refused(one)) === undefined; n++);
  expect(await refused(one)).toMatchObject(spent);
  // The other node has spent nothing itself.
  await expect.poll(() => refused(two), { timeout: 20_000 }).toMatchObject(spent);
  cluster.node("one").kill("SIGKILL");
  await cluster.node("one").gone;
  expect(await refused(one)).toMatchObject(spent);
});
