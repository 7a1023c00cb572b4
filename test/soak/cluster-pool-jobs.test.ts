import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { global } from "../../src/index.ts";
import { runKilled } from "../cluster/killed-jobs.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { becomes, scene } from "./cluster-scene.ts";

test("a node that is killed half way through two hundred jobs: each is asked once", async () => {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  const folder = await mkdtemp(join(tmpdir(), "castellan-jobs-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const spans = { beat: "200ms", staleAfter: "5s", margin: "500ms", patience: "30s" } as const;
  await using cluster = await RealCluster.start({ server, claude: "fake", cluster: spans }, "one", "two", "three");
  await runKilled(cluster, folder, 200);
  expect((await cluster.client.nodes()).map(({ name }) => name)).toEqual(
    expect.arrayContaining(["one", "two", "three"]),
  );
});

test("a node that is killed half way through jobs of the real Claude Code: each is answered once", {
  timeout: 240_000,
}, async () => {
  const server = await PostgresServer.start();
  onTestFinished(() => server.remove());
  await using at = await scene(server, ["one", "two"]);
  const { cluster, model } = at;
  const crew = cluster.client.pool(global("crew"));
  const keys = Array.from({ length: 12 }, (_, n) => `k${n}`);
  const enqueueAll = (): Promise<string[]> =>
    Promise.all(keys.map((key) => crew.enqueue(`say ${key}`, { idempotencyKey: key })));
  const ids = await enqueueAll();
  await becomes(() => model.asked.length >= 5, 60_000);
  cluster.node("one").kill("SIGKILL");
  expect(await enqueueAll()).toEqual(ids);
  const ends = await Promise.all(
    ids.map(async (id) => {
      const turn = await crew.turn(id);
      return await turn?.result().then(
        () => "completed",
        ({ code }: { code: string }) => code,
      );
    }),
  );
  const cut = ends.filter((end) => end !== "completed");
  expect(cut).toEqual(cut.map(() => "TURN_INTERRUPTED"));
  expect(cut.length).toBeLessThanOrEqual(2);
  // Only what a process of the killed node had asked, without an answer, may have been asked again.
  const doubled = keys.filter((key) => model.asked.filter((asked) => asked.key === key).length > 1);
  expect(doubled.length).toBeLessThanOrEqual(2);
  expect(new Set(model.asked.map(({ key }) => key)).size).toBe(keys.length);
  expect(new Set(model.asked.map(({ node }) => node)).size).toBe(2);
  await cluster.node("one").gone;
  await cluster.stop();
  expect(cluster.processes).toEqual([]);
});
