import { afterAll, beforeAll, expect, test } from "vitest";
import { global } from "../../src/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { scene } from "./cluster-scene.ts";
import { faultsIn } from "./cluster-verdict.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

test("a global session is forked, both go on independently, and the fork outlives the node of both", async () => {
  const at = await scene(server, ["one", "two"], { cluster: { staleAfter: "3s" } });
  const { cluster } = at;
  const { client } = cluster;
  const original = client.session(global(["chat", "original"]));
  await original.query("say k1");
  // Somebody has looked at the name: a node owns it, and has nothing of it.
  await client.session(global(["chat", "copy"])).status();
  const copy = await original.fork(global(["chat", "copy"]), { title: "A copy", labels: { user: "ann" } });
  const owner = await cluster.owner("chat", "original");
  expect(await copy.status()).toMatchObject({ node: owner.name, title: "A copy", labels: { user: "ann" } });
  await expect(original.fork(global(["chat", "copy"]))).rejects.toMatchObject({ code: "SESSION_ALREADY_STARTED" });
  await expect(original.fork(global(["unknown", "copy"]))).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  // It has not had a process yet.
  owner.kill("SIGKILL");
  await owner.gone;
  await Promise.all([copy.query("say k2"), original.query("say k3")]);
  const [own, forked] = await Promise.all(
    [original, copy].map(async (session) => JSON.stringify(await session.transcript())),
  );
  for (const said of [own, forked]) expect(said).toContain("k1 answer 1");
  expect([own?.includes("k2"), own?.includes("k3"), forked?.includes("k2"), forked?.includes("k3")]).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect((await copy.status()).conversationId).not.toBe((await original.status()).conversationId);
  // What the copy knows of the original is all that it has of another session.
  expect(await faultsIn(cluster, at.model)).toEqual(['["global","chat","copy"] answered k2, and knows k1,k2']);
});
