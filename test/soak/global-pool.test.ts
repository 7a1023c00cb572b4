import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { global } from "../../src/index.ts";
import { runKilled } from "../cluster/killed-jobs.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

/* Real processes, a real PostgreSQL and a fake Claude. */

let server: PostgresServer;
let cluster: RealCluster;
let folder: string;

beforeAll(async () => {
  server = await PostgresServer.start();
  folder = await mkdtemp(join(tmpdir(), "castellan-jobs-"));
  const spans = { beat: "100ms", staleAfter: "3s", margin: "300ms", patience: "10s" } as const;
  cluster = await RealCluster.start({ server, claude: "fake", cluster: spans, deadlineMs: 200 }, "one", "two");
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await server?.remove();
  await rm(folder, { recursive: true, force: true });
});

describe("the jobs of a global pool", { timeout: 60_000 }, () => {
  it("run on any node, each under its key", async () => {
    const crew = cluster.client.pool(global("crew"));
    const ids = await Promise.all(
      Array.from({ length: 8 }, (_, n) => crew.enqueue(`hello ${n}`, { idempotencyKey: `k${n}`, metadata: { n } })),
    );
    expect(new Set(ids).size).toBe(8);
    const turns = await Promise.all(ids.map((id) => crew.turn(id)));
    const texts = await Promise.all(turns.map(async (turn) => (await turn?.result())?.text ?? ""));
    expect(texts.map((text) => text.replace(/ on \d+$/, ""))).toEqual(
      Array.from({ length: 8 }, (_, n) => `hello ${n}`),
    );
    expect(turns.map((turn) => [turn?.metadata, turn?.session])).toEqual(
      Array.from({ length: 8 }, (_, n) => [{ n }, "crew"]),
    );
    expect(await crew.enqueue("hello 3", { idempotencyKey: "k3" })).toBe(ids[3]);
    await expect(crew.enqueue("other", { idempotencyKey: "k3" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    const page = await crew.turns({ state: "completed" });
    expect(page.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  it("are accepted, found, listed and cancelled from any node and client, while they wait", async () => {
    const crew = cluster.client.pool(global("crew"));
    const waiting = await crew.enqueue("never", { delay: "1h", metadata: { n: 1 } });
    const turn = await crew.turn(waiting);
    expect([turn?.state, turn?.metadata]).toEqual(["queued", { n: 1 }]);
    expect(await crew.turns({ state: "queued" })).toMatchObject([
      { id: waiting, state: "queued", prompt: "never", metadata: { n: 1 } },
    ]);
    const other = await crew.enqueue("neither", { delay: "1h", priority: 3 });
    expect((await crew.turns({ limit: 1 })).map(({ id }) => id)).toEqual([other]);
    expect((await crew.turns({ limit: 1, before: other })).map(({ id }) => id)).toEqual([waiting]);
    await turn?.interrupt();
    await expect(turn?.result()).rejects.toMatchObject({ code: "TURN_CANCELLED" });
    const found = await crew.turn(waiting);
    await expect(found?.result()).rejects.toMatchObject({ code: "TURN_CANCELLED" });
    expect(found).toMatchObject({ state: "cancelled", metadata: { n: 1 } });
    expect(await crew.turns({ state: "cancelled" })).toMatchObject([{ id: waiting, metadata: { n: 1 } }]);
    await (await crew.turn(other))?.interrupt();
    expect(await crew.turns({ state: "queued" })).toEqual([]);
    expect(await crew.turn("unknown")).toBeUndefined();
    await expect(crew.turns({ before: "unknown" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(crew.enqueue("x", { priority: 0.5 })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(crew.enqueue("", {})).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    expect(() => cluster.client.pool(global(["crew", 1]))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS" }),
    );
  });

  it("follow a running job, with its events, and interrupt it", async () => {
    const crew = cluster.client.pool(global("crew"));
    const turn = await crew.turn(await crew.enqueue("hang", { delay: 300 }));
    expect(turn?.state).toBe("queued");
    for await (const text of turn?.text() ?? []) if (text === "begun") break;
    const types: string[] = [];
    for await (const { type } of turn?.events() ?? []) {
      types.push(type);
      if (type === "turn_started") await turn?.interrupt();
    }
    await expect(turn?.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    expect(types).toEqual(expect.arrayContaining(["turn_accepted", "turn_started", "turn_ended"]));
  });

  it("are those of the node's own pool, too", async () => {
    const [id, text] = await cluster.node("one").job("crew", "from a node");
    const turn = await cluster.client.pool(global("crew")).turn(id);
    expect(text).toMatch(/^from a node on \d+$/);
    expect((await turn?.result())?.text).toBe(text);
  });

  it("each run once when a node is killed half way", async () => {
    await runKilled(cluster, folder, 30);
  });
});
