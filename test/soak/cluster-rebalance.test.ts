import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type GlobalName, global } from "../../src/index.ts";
import { castellan } from "../cli/command-line.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

test("`rebalance` spreads idle sessions over a node that has joined, leaves a running turn alone, and is a command", async () => {
  const spans = { beat: "300ms", staleAfter: "4s", margin: "500ms", patience: "20s" } as const;
  await using cluster = await RealCluster.start({ server, claude: "fake", cluster: spans, deadlineMs: 100 }, "one");
  const { client } = cluster;
  const nameOf = (n: number): GlobalName => global(["chat", String(n)]);
  for (let n = 0; n < 6; n++) await client.query(nameOf(n), `hi ${n}`);
  const turn = client.stream(nameOf(0), "hang");
  for await (const text of turn.text()) if (text === "begun") break;
  expect(await client.rebalance()).toEqual([]);
  await cluster.join("two");
  const first = await client.rebalance({ max: 1 });
  expect(first).toEqual([{ name: ["global", "chat", "1"], from: "one", to: "two", activity: "idle" }]);
  expect((await client.session(nameOf(1)).status()).node).toBe("two");

  const folder = await mkdtemp(join(tmpdir(), "rebalance-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const advertise = "http://127.0.0.1:0";
  await writeFile(join(folder, "node.json"), JSON.stringify({ cluster: { ...cluster.place, advertise } }));
  const run = (...args: readonly string[]) =>
    castellan(["rebalance", "--cluster", "node.json", ...args], { cwd: folder });
  const { stdout, code } = await run("--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual(
    ["2", "3"].map((n) => ({ name: { global: ["chat", n] }, from: "one", to: "two", activity: "idle" })),
  );
  expect((await run()).stderr).toContain("Nothing moved");

  const owners = new Map((await client.listSessions()).map(({ name, node }) => [name.at(-1), node]));
  expect(Object.fromEntries(owners)).toEqual({ 0: "one", 1: "two", 2: "two", 3: "two", 4: "one", 5: "one" });
  expect((await client.session(nameOf(0)).current())?.id).toBe(turn.id);
  await client.session(nameOf(0)).interrupt();
  for (let n = 0; n < 6; n++) {
    expect((await client.query(nameOf(n), "again")).text).toBe(
      `again on ${cluster.node(owners.get(String(n)) ?? "").pid}`,
    );
  }
  await expect(client.rebalance({ max: 0 })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
});

test("`rebalance` moves a session in mid-turn only if nothing else evens out the load, and its turn ends first", async () => {
  const spans = { beat: "300ms", staleAfter: "4s", margin: "500ms", patience: "20s" } as const;
  await using cluster = await RealCluster.start(
    { server, claude: "fake", cluster: spans, deadlineMs: 100 },
    "one",
    "two",
  );
  const { client } = cluster;
  const names = ["a", "b"].map((name) => global(["chat", name]));
  for (const name of names) await client.move(name, "one");
  const turns = names.map((name) => client.stream(name, "hang"));
  for (const turn of turns) for await (const text of turn.text()) if (text === "begun") break;
  const moving = client.rebalance();
  // Its turn has thirty seconds. Somebody ends it.
  await expect.poll(async () => (await client.session(names[0] as GlobalName).status()).turn === undefined).toBe(false);
  await turns[0]?.interrupt();
  expect(await moving).toEqual([{ name: ["global", "chat", "a"], from: "one", to: "two", activity: "busy" }]);
  expect((await client.session(names[1] as GlobalName).current())?.id).toBe(turns[1]?.id);
});
