import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EnqueueOptions, type GlobalFindOptions, global } from "../../src/index.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

/* Real processes, a real PostgreSQL and a fake Claude. test/soak/cluster-*.test.ts use the real one. */

let server: PostgresServer;
let cluster: RealCluster;

beforeAll(async () => {
  server = await PostgresServer.start();
  const spans = { beat: "100ms", staleAfter: "1s", margin: "100ms", patience: "10s" } as const;
  cluster = await RealCluster.start({ server, claude: "fake", cluster: spans, deadlineMs: 200 }, "one", "two");
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await server?.remove();
});

describe("two nodes and a client", () => {
  it("answer and stream a session from every node", async () => {
    const { client } = cluster;
    const { text } = await client.query(global(["chat", "a"]), "hello");
    const owner = await cluster.owner("chat", "a");
    expect(text).toBe(`hello on ${owner.pid}`);
    for (const node of cluster.nodes) expect(await node.query(["chat", "a"], "hi")).toBe(`hi on ${owner.pid}`);
    expect(await Array.fromAsync(client.stream(global(["chat", "a"]), "count 3").text())).toEqual(["1", "2", "3"]);
  });

  it("resume server-sent events by the last event id, also after the turn was dropped from memory", async () => {
    const session = cluster.client.session(global(["chat", "page"]));
    const id = await session.enqueue("count 3");
    const follow = async (lastEventId: string | null): Promise<string> => {
      const turn = await session.turn(id);
      return (await turn?.toResponse({ lastEventId }).text()) ?? "";
    };
    const all = await follow(null);
    expect(all.match(/^event: \w+$/gm)).toEqual(["event: text", "event: text", "event: text", "event: result"]);
    const pieces = all.split("\n\n").slice(0, -1);
    for (const [index, piece] of pieces.entries()) {
      const [, last] = /^id: (.+)$/m.exec(piece) ?? [];
      if (last !== undefined) expect(await follow(last)).toBe(`${pieces.slice(index + 1).join("\n\n")}\n\n`);
    }
    const [, first = ""] = /^id: (.+)$/m.exec(all) ?? [];
    for (let n = 0; n < 17; n++) await session.query("hello");
    // Later turns have displaced its messages from memory.
    const anew = await follow(first);
    const texts = ["event: text", "event: text", "event: text"];
    expect(anew.match(/^event: \w+$/gm)).toEqual(["event: retry", ...texts, "event: result"]);
    expect(anew.match(/(?<=^data: \{"text":")\d+(?="\}$)/gm)?.join("")).toBe("123");
    const [, place = ""] = /^id: (.+)$/m.exec(anew) ?? [];
    expect((await follow(place)).match(/^event: \w+$/gm)).toEqual([...texts.slice(1), "event: result"]);
    const message = await (await session.turn(id))?.toUIMessageStreamResponse().text();
    expect(message?.match(/(?<=^data: \{"type":"text-delta".+"delta":")\d+(?="\}$)/gm)?.join("")).toBe("123");
  });

  it("give the asker, the metadata and the prompt id of a turn to every caller", async () => {
    const session = cluster.client.session(global(["chat", "metadata"]));
    const turn = session.stream("hello", { by: "ann", metadata: { user: "ann" } });
    await turn.result();
    expect([turn.by, turn.metadata, turn.origin]).toEqual(["ann", { user: "ann" }, "caller"]);
    const found = await session.turn(turn.id);
    await found?.result();
    expect([found?.by, found?.metadata]).toEqual(["ann", { user: "ann" }]);
    expect((await session.turns())[0]?.by).toBe("ann");
    const [started] = await session.pastEvents({ types: ["turn_started"] });
    expect(started).toMatchObject({ promptId: turn.promptId });
    expect(found?.promptId).toBe(turn.promptId);
  });

  it("list the turns of a session, and the running one", async () => {
    const session = cluster.client.session(global(["chat", "turns"]));
    const first = await session.query("hello", { metadata: { n: 1 } });
    expect(await session.current()).toBeUndefined();
    const running = session.stream("hang");
    for await (const text of running.text()) if (text === "begun") break;
    expect((await session.current())?.id).toBe(running.id);
    const turns = await session.turns();
    expect(turns.map(({ id, state, metadata }) => [id, state, metadata])).toEqual([
      [running.id, "running", undefined],
      [first.turnId, "completed", { n: 1 }],
    ]);
    expect(await session.turns({ before: running.id, limit: 1 })).toEqual(turns.slice(1));
    await expect(session.turns({ before: "unknown" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await session.interrupt();
    expect((await session.turns({ state: "interrupted" })).map(({ id }) => id)).toEqual([running.id]);
  });

  it("describe a session, which keeps it on its next node", async () => {
    const session = cluster.client.session(global(["chat", "described"]));
    await session.query("hello");
    await Promise.all([
      session.describe({ title: "Ours" }),
      session.describe({ labels: { plan: "trial" } }),
      session.describe({ labels: { user: "ann" } }),
    ]);
    expect((await session.status()).labels).toMatchObject({ user: "ann", plan: "trial" });
    await session.describe({ labels: { plan: null } });
    const { createdAt } = await session.status();
    expect(await session.status()).toMatchObject({
      title: "Ours",
      labels: { user: "ann" },
      createdAt: expect.any(Number),
    });
    await session.stop();
    await session.turns();
    expect(await session.status()).toMatchObject({ title: "Ours", labels: { user: "ann" }, createdAt });
    await expect(session.describe({ labels: { "no spaces": "x" } })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
  });

  it("run prompts later, and list and cancel schedules", async () => {
    const session = cluster.client.session(global(["chat", "scheduled"]));
    const later = { runAt: new Date(Date.now() + 3_600_000), metadata: { n: 1 } };
    const unrun = await session.enqueue("scheduled", later);
    const daily = await session.enqueue("daily", {
      every: "0 9 * * *",
      timezone: "Europe/Berlin",
      idempotencyKey: "daily",
    });
    // Which of them is next depends on the time of day.
    const listed = (await session.schedules()).toSorted((one, other) =>
      one.id === daily ? -1 : other.id === daily ? 1 : 0,
    );
    expect(listed).toMatchObject([
      { id: daily, prompt: "daily", every: "0 9 * * *", timezone: "Europe/Berlin" },
      { id: unrun, prompt: "scheduled", nextAt: later.runAt.getTime(), metadata: { n: 1 } },
    ]);
    expect(await session.cancelSchedule(unrun)).toBe(true);
    const soon = { runAt: new Date(Date.now() + 100), idempotencyKey: "once", metadata: { n: 1 } };
    const id = await session.enqueue("scheduled", soon);
    await expect.poll(async () => (await session.turn(id)) !== undefined, { timeout: 20_000 }).toBe(true);
    const turn = await session.turn(id);
    expect((await turn?.result())?.text).toMatch(/^scheduled on /);
    expect(turn?.metadata).toEqual({ n: 1 });
    expect(await session.enqueue("scheduled", soon)).toBe(id);
    expect(await session.enqueue("daily at ten", { every: "0 10 * * *", idempotencyKey: "daily" })).toBe(daily);
    expect(await session.schedules()).toMatchObject([{ id: daily, prompt: "daily at ten", every: "0 10 * * *" }]);
    expect([await session.cancelSchedule(daily), await session.cancelSchedule(daily)]).toEqual([true, false]);
    expect(await session.schedules()).toEqual([]);
    expect((await session.turns()).map((one) => one.id)).toEqual([id]);
    const wrong: EnqueueOptions[] = [
      { runAt: Number.NaN },
      { every: "never" },
      { timezone: "Europe/Berlin" },
      { every: "0 9 * * *", timezone: "nowhere" },
      { runAt: 0, whenBusy: "reject" },
      { runAt: 0, signal: AbortSignal.timeout(1) },
    ];
    for (const options of wrong) {
      await expect(session.enqueue("x", options)).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    }
  });

  it("list nodes, sessions and status", async () => {
    const { client } = cluster;
    await client.query(global(["chat", "b"]), "hello");
    const node = await cluster.ownerOf("chat", "b");
    expect((await client.nodes()).map(({ name, state }) => [name, state])).toEqual([
      ["one", "alive"],
      ["two", "alive"],
    ]);
    expect(await client.listSessions({ prefix: global(["chat", "b"]) })).toEqual([
      { name: ["global", "chat", "b"], node, epoch: 1 },
    ]);
    const status = await client.session(global(["chat", "b"])).status();
    expect(status).toMatchObject({ name: ["global", "chat", "b"], state: "idle", starts: 1, node });
  });

  it("find sessions by labels, name and state, also those that no node owns", async () => {
    const { client } = cluster;
    const names = ["x", "y", "z"].map((letter) => ["chat", `found-${letter}`] as const);
    for (const name of names) {
      const session = client.session(global(name));
      await session.query("hello");
      await session.describe({ title: name[1], labels: { tenant: "acme", user: name[1] } });
    }
    await client.session(global(["chat", "found-z"])).describe({ archived: true });
    await client.session(global(["chat", "found-x"])).stop();
    const labels = { tenant: "acme" };
    const found = await client.findSessions({ labels });
    const node = await cluster.ownerOf("chat", "found-y");
    const both = { createdAt: expect.any(Number), epoch: 1 };
    expect(found).toEqual([
      {
        name: ["global", "chat", "found-x"],
        title: "found-x",
        labels: { ...labels, user: "found-x" },
        state: "stored",
        ...both,
      },
      {
        name: ["global", "chat", "found-y"],
        title: "found-y",
        labels: { ...labels, user: "found-y" },
        state: "owned",
        node,
        ...both,
      },
    ]);
    expect(await client.findSessions({ labels, limit: 1 })).toEqual(found.slice(0, 1));
    expect(await client.findSessions({ labels, after: found[0]?.name })).toEqual(found.slice(1));
    expect(await client.findSessions({ labels, after: global(["chat", "found-y"]) })).toEqual([]);
    expect(await client.findSessions({ prefix: global(["chat", "found-y"]) })).toEqual(found.slice(1));
    expect(await client.findSessions({ labels, prefix: global("cha") })).toEqual([]);
    expect(await client.findSessions({ labels, state: "stored" })).toEqual(found.slice(0, 1));
    expect(await client.findSessions({ labels, state: "owned" })).toEqual(found.slice(1));
    expect(await client.findSessions({ labels, state: "archived" })).toMatchObject([
      { title: "found-z", state: "archived" },
    ]);
    const wrong = [{ state: "idle" }, { limit: 0 }, { prefix: "chat" }, { after: [] }, { before: "x" }];
    for (const options of wrong) {
      await expect(client.findSessions(options as GlobalFindOptions)).rejects.toMatchObject({
        code: "INVALID_OPTIONS",
      });
    }
  });

  it("restart a session, and interrupt its turn, on its node", async () => {
    const session = cluster.client.session(global(["chat", "c"]));
    const turn = session.stream("hang");
    for await (const text of turn.text()) if (text === "begun") break;
    await session.interrupt();
    await expect(turn.result()).rejects.toMatchObject({
      code: "TURN_INTERRUPTED",
      details: { partialText: "begun" },
    });
    await session.restart();
    await session.wake();
    expect(await session.status()).toMatchObject({ state: "idle", starts: 2 });
  });
});

describe("a node that leaves", () => {
  it("hands its waiting turns over after SIGTERM", async () => {
    const { client } = cluster;
    const session = client.session(global(["chat", "d"]));
    const running = session.stream("hang");
    for await (const text of running.text()) if (text === "begun") break;
    const waiting = await Promise.all([session.enqueue("first"), session.enqueue("second")]);
    const owner = await cluster.owner("chat", "d");
    owner.kill("SIGTERM");
    // The turn may run until the deadline. Afterwards the next owner reports its end.
    await expect(running.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    const ends = await Promise.all(waiting.map(async (id) => (await session.turn(id))?.result()));
    const next = await cluster.owner("chat", "d");
    expect(next.name).not.toBe(owner.name);
    expect(ends.map((end) => end?.text)).toEqual([`first on ${next.pid}`, `second on ${next.pid}`]);
    await owner.gone;
    await cluster.join(owner.name);
  });

  it("leaves the permission mode of its sessions to the next owner after SIGKILL", async () => {
    const session = cluster.client.session(global(["chat", "f"]));
    await session.setPermissionMode("acceptEdits");
    await session.setPermissionMode("plan");
    const owner = await cluster.owner("chat", "f");
    owner.kill("SIGKILL");
    await owner.gone;
    await session.wake();
    expect(await session.status()).toMatchObject({ permissionMode: "plan", starts: 1 });
    expect((await cluster.owner("chat", "f")).name).not.toBe(owner.name);
    await cluster.join(owner.name);
  });

  it("leaves its sessions' schedules to another node after SIGKILL, and each run takes place once", async () => {
    const session = cluster.client.session(global(["chat", "g"]));
    await session.query("hello");
    const owner = await cluster.owner("chat", "g");
    const at = Date.now() + 800;
    const once = await session.enqueue("once", { runAt: at });
    const every = await session.enqueue("often", { every: "1s", runAt: at });
    owner.kill("SIGKILL");
    await owner.gone;
    // Nobody asks the session: another node claims it for its run.
    const ran = async (): Promise<string[]> => {
      const rows = await server.sql<{ prompt: string }>(
        `select prompt from ${cluster.schema}.turns where session = $1 and state = 'completed' order by seq`,
        [JSON.stringify(["global", "chat", "g"])],
      );
      return rows.map(({ prompt }) => prompt);
    };
    await expect
      .poll(async () => (await ran()).filter((prompt) => prompt === "often").length, { timeout: 20_000 })
      .toBeGreaterThan(2);
    expect((await ran()).filter((prompt) => prompt === "once")).toEqual(["once"]);
    expect((await cluster.owner("chat", "g")).name).not.toBe(owner.name);
    expect(await session.cancelSchedule(every)).toBe(true);
    expect((await (await session.turn(once))?.result())?.text).toMatch(/^once on /);
    await cluster.join(owner.name);
  });

  it("loses its sessions to another node after SIGKILL, with a turn that had not begun to answer", async () => {
    const { client } = cluster;
    const session = client.session(global(["chat", "e"]));
    await session.query("hello");
    const owner = await cluster.owner("chat", "e");
    const turn = session.stream("hello again");
    owner.kill("SIGKILL");
    const { text } = await turn.result();
    const next = await cluster.owner("chat", "e");
    expect(next.name).not.toBe(owner.name);
    expect([`hello again on ${next.pid}`, `hello again on ${owner.pid}`]).toContain(text);
    expect(await session.query("and again").then((reply) => reply.text)).toBe(`and again on ${next.pid}`);
    const [info] = await client.listSessions({ prefix: global(["chat", "e"]) });
    expect(info).toMatchObject({ name: ["global", "chat", "e"], node: next.name });
    // On a busy machine a live node may be declared dead.
    expect(info?.epoch).toBeGreaterThanOrEqual(2);
  });
});
