import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { castellan, RunningCommand } from "../cli/command-line.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { Receiver, SECRET } from "../webhooks/receiver.ts";

/* Webhooks of applications that are killed in the middle of a delivery, to receivers that come and go. */

test("castellan serve: a kill in the middle of a delivery, a restart and an absent receiver lose no event", async () => {
  await using api = await mockApi();
  await using receiver = await Receiver.open();
  api.reply("prompt", "An answer.");
  const { cwd } = api;
  const config = {
    journal: { sqlite: "castellan.db" },
    children: [{ name: "one" }, { name: "two" }],
    webhooks: [{ url: receiver.url, secret: SECRET, id: "hook" }],
    defaults: { cwd, env: api.env, tools: [] },
  };
  await writeFile(join(cwd, "castellan.config.json"), JSON.stringify(config));
  const start = async () => {
    const serving = new RunningCommand(["serve", "--json"], { cwd });
    const { url } = JSON.parse(await serving.firstLine());
    return { serving, client: new CastellanClient({ url }) };
  };
  const asked: string[] = [];
  const ask = async (client: CastellanClient, name: string): Promise<void> => {
    const turn = await client.session(name).enqueue("prompt");
    await client.session(name).wait(turn);
    asked.push(turn);
  };
  const told = (): unknown[] => receiver.requests.map(({ data }) => data["turnId"]);
  let { serving, client } = await start();
  try {
    await ask(client, "one");
    await receiver.until(() => receiver.confirmed.length === 1);
    // The receiver has the event, and the application dies before it has the answer.
    receiver.answer = () => "never";
    await ask(client, "one");
    await ask(client, "two");
    await receiver.until(() => receiver.requests.length >= 3);
    serving.child.kill("SIGKILL");
    await serving.ended;
    receiver.answer = () => 204;
    ({ serving, client } = await start());
    await receiver.until(() => new Set(told()).size === 3 && receiver.confirmed.length >= 3);
    // The receiver is gone for a while, in which the application is killed again.
    await receiver.down();
    await ask(client, "one");
    await ask(client, "two");
    serving.child.kill("SIGKILL");
    await serving.ended;
    ({ serving, client } = await start());
    await ask(client, "two");
    const list = await castellan(["webhooks"], { cwd });
    expect(list.stdout).toMatch(/^WEBHOOK +STATE +PENDING/);
    expect(list.stdout).not.toContain("in-the-query");
    await receiver.up();
    expect((await castellan(["webhooks", "test", "hook"], { cwd })).stdout).toMatch(/^delivered: status 204/);
    expect((await castellan(["webhooks", "retry", "hook"], { cwd })).code).toBe(0);
    await receiver.until(() => asked.every((turn) => told().includes(turn)));
    for (const turn of asked) {
      const ids = receiver.requests.filter(({ data }) => data["turnId"] === turn).map(({ id }) => id);
      expect(new Set(ids).size, `ids of turn ${turn}`).toBe(1);
      expect(receiver.confirmed).toContain(ids[0]);
    }
    expect(receiver.forged).toEqual([]);
    serving.child.kill("SIGTERM");
    await serving.ended;
    // The last positions are in the journal.
    const before = receiver.requests.length;
    ({ serving, client } = await start());
    await ask(client, "one");
    await receiver.until(() => told().includes(asked.at(-1)));
    expect(receiver.requests).toHaveLength(before + 1);
  } finally {
    serving.child.kill("SIGKILL");
    await serving.ended;
  }
}, 180_000);

test("a global session whose owner dies: another node delivers what was undelivered, under the same ids", async () => {
  const server = await PostgresServer.start();
  try {
    await using receiver = await Receiver.open();
    const webhooks = [{ url: receiver.url, secret: SECRET, id: "hook" }];
    await using cluster = await RealCluster.start({ server, claude: "fake", webhooks }, "a", "b");
    const session = cluster.client.session(cluster.nameOf("chat", "one"));
    await session.query("first");
    await receiver.until(() => receiver.confirmed.length === 1);
    receiver.answer = () => "never";
    const turns = [await session.query("second"), await session.query("third")].map(({ turnId }) => turnId);
    await receiver.until(() => receiver.requests.length === 2);
    const owner = await cluster.owner("chat", "one");
    owner.kill("SIGKILL");
    receiver.answer = () => 204;
    // Nobody asks for the session.
    await receiver.until(() => turns.every((turn) => receiver.events.some(({ data }) => data["turnId"] === turn)));
    await receiver.until(() => receiver.confirmed.length >= 3);
    expect(await cluster.ownerOf("chat", "one")).not.toBe(owner.name);
    expect(receiver.ids).toHaveLength(3);
    expect(receiver.events.map(({ data }) => data["session"])).toEqual(Array(3).fill({ global: ["chat", "one"] }));
    for (const same of Map.groupBy(receiver.requests, ({ data }) => data["turnId"]).values()) {
      expect(new Set(same.map(({ id }) => id)).size).toBe(1);
    }
  } finally {
    await server.remove();
  }
}, 120_000);

test("a global session that moves: the next owner delivers what was undelivered, and no node loses its sessions", async () => {
  const server = await PostgresServer.start();
  try {
    await using receiver = await Receiver.open();
    const webhooks = [{ url: receiver.url, secret: SECRET, id: "hook" }];
    await using cluster = await RealCluster.start({ server, claude: "fake", webhooks }, "a", "b");
    const session = cluster.client.session(cluster.nameOf("chat", "one"));
    receiver.answer = () => 500;
    const asked: string[] = [];
    for (let n = 0; n < 6; n++) {
      asked.push((await session.query(`prompt ${n}`)).turnId);
      const owner = await cluster.ownerOf("chat", "one");
      await session.move(owner === "a" ? "b" : "a");
    }
    receiver.answer = () => 204;
    await session.query("last");
    await receiver.until(() => receiver.events.length === 7 && new Set(receiver.confirmed).size === 7);
    expect(receiver.events.slice(0, 6).map(({ data }) => data["turnId"])).toEqual(asked);
    for (const { warnings } of cluster.nodes) expect(warnings.filter((line) => line.includes("lost"))).toEqual([]);
  } finally {
    await server.remove();
  }
}, 120_000);
