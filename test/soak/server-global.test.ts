import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { global, template } from "../../src/index.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { NativeScene, OPERATOR } from "../server/native-scene.ts";
import { unique } from "../session-on-fake/scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

test("CastellanClient: uses and lists global sessions of a cluster", async () => {
  const support = unique("support");
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "ask") await turn.askPermission("Write", { file_path: "/tmp/a" });
    await turn.text(`re: ${turn.prompt}`);
  });
  const children = [
    template(global(support), (user: string) => ({ labels: { user }, approvals: true, budget: { usd: 5 } })),
  ];
  const where = server.fresh();
  const cluster = (name: string) => ({ ...where, name, advertise: "http://127.0.0.1:0", secret: "s".repeat(32) });
  const callers: Readonly<Record<string, Caller>> = {
    operator: OPERATOR,
    ann: { ...OPERATOR, id: "ann", labels: { user: "ann" } },
    prefix: { ...OPERATOR, id: "prefix", prefix: [support, "ann"] },
  };
  await using scene = await NativeScene.start({
    fake,
    callers,
    children,
    supervisor: { cluster: cluster("one") },
  });
  const client = scene.client();
  const name = { global: [support, "ann"] } as const;
  const session = client.session(name);
  expect(await client.server()).toMatchObject({ inCluster: true });
  expect(await client.server()).toMatchObject({ node: "one" });
  expect((await client.nodes()).map((node) => node.name)).toEqual(["one"]);
  expect(await client.storage()).toEqual({
    journal: { kind: "memory", location: "memory", latencyMs: expect.any(Number) },
    cluster: {
      kind: "postgres",
      location: expect.stringMatching(/^postgres:\/\/127\.0\.0\.1:/),
      version: expect.stringMatching(/^\d+\.\d+/),
      latencyMs: expect.any(Number),
    },
  });
  expect((await session.query("hello")).text).toBe("re: hello");
  expect(await session.get()).toMatchObject({ name, labels: { user: "ann" }, status: { name }, node: "one" });
  const owned = { name, epoch: 1, state: "owned", node: "one", labels: { user: "ann" } };
  expect(await Array.fromAsync(client.globalSessions({ prefix: support }))).toMatchObject([owned]);
  // As of a beat after the turn.
  const isIdle = async (): Promise<boolean> => {
    const { sessions, turns } = (await client.nodes())[0]?.report ?? {};
    return sessions === 1 && turns === 0;
  };
  await vi.waitUntil(isIdle, { timeout: 30_000 });
  const [node] = await client.nodes();
  expect(node).toMatchObject({ state: "alive", load: 1, staleAfterMs: 5_000 });
  expect(node?.silentForMs).toBeLessThan(5_000);
  expect(node?.report).toMatchObject({ processes: 1, waiting: 0, turns: 0, nodeRelease: process.versions.node });
  expect(node?.report?.claudeRelease).toMatch(/^2\.1\./);
  expect(node?.report?.memory.usedBytes).toBeLessThan(node?.report?.memory.totalBytes ?? 0);
  expect(await client.listGlobalSessions({ labels: { user: "bob" } })).toEqual({ sessions: [], next: null });
  await expect(client.listGlobalSessions({ limit: 0 })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
  const seen: (number | undefined)[] = [];
  const reading = (async () => {
    for await (const event of session.events({ after: 0 })) {
      seen.push(event.number);
      if (event.type === "turn_accepted" && event.prompt === "last") return;
    }
  })();
  // A process can be one node only; the soak tests of clusters move sessions between processes.
  expect(await session.move("one")).toMatchObject({ name, node: "one" });
  const turn = await session.enqueue("ask");
  await vi.waitUntil(async () => (await client.approvals({ global: true })).length === 1, { timeout: 30_000 });
  const [approval] = await client.approvals({ global: true });
  expect(approval).toMatchObject({ session: name, tool: "Write", turnId: turn });
  expect(await session.approve(approval?.id ?? "")).toMatchObject({ first: true });
  expect(await session.wait(turn)).toMatchObject({ state: "completed", reply: { text: "re: ask" } });
  await session.query("last");
  await reading;
  const numbers = seen.filter((number) => number !== undefined);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect((await session.turns()).turns).toHaveLength(3);
  expect(await session.describe({ title: "Bills" })).toMatchObject({ title: "Bills", name });
  expect(await session.hibernate()).toMatchObject({ state: "hibernated" });
  expect(await session.health()).toEqual({ status: "healthy" });
  expect(await session.usage()).toMatchObject([{ costUsd: 0.03, turns: 3 }]);
  expect(await client.usage({ by: ["session"], label: "user", global: true })).toMatchObject([
    { session: name, label: "ann", costUsd: 0.03, turns: 3 },
  ]);
  expect(await client.usage()).toEqual([]);
  expect(await client.budgets()).toMatchObject([{ session: name, limitUsd: 5, spentUsd: 0.03 }]);
  expect(await session.inspect()).toMatchObject({
    status: { name, state: "hibernated" },
    options: { approvals: { value: { timeout: 600_000 }, origin: { from: "template" } } },
    lastExits: [],
  });
  // A fork of a global session is global, and has the options of its declaration.
  await expect(session.fork({ name: unique() })).rejects.toMatchObject({ code: "SESSION_NOT_FOUND", status: 404 });
  const copied = { name: [support, "copy"], title: "A copy" } as const;
  await expect(session.fork({ ...copied, model: "haiku" })).rejects.toMatchObject({ code: "UNSUPPORTED", status: 400 });
  expect(await session.fork(copied)).toMatchObject({ name: { global: copied.name }, title: "A copy" });
  await expect(session.fork(copied)).rejects.toMatchObject({ code: "SESSION_ALREADY_STARTED", status: 400 });
  await client.session({ global: copied.name }).erase();
  const schedule = await session.schedule("later", { every: "1h", idempotencyKey: "hourly" });
  expect(await session.schedules()).toMatchObject([{ id: schedule, prompt: "later", by: "operator" }]);
  expect(await session.cancelSchedule(schedule)).toBe(true);
  expect(await session.schedules()).toEqual([]);
  await expect(session.move("two")).rejects.toMatchObject({ code: "INVALID_OPTIONS", status: 400 });
  await expect(client.session([support, "ann"]).get()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  // Reach of names and labels holds for global sessions, too.
  const hidden = { code: "SESSION_NOT_FOUND", status: 404 };
  const bob = { global: [support, "bob"] } as const;
  await client.session(bob).query("hello");
  for (const token of ["ann", "prefix"]) {
    expect(await scene.client(token).session(name).get()).toMatchObject({ name });
    await expect(scene.client(token).session(bob).get()).rejects.toMatchObject(hidden);
    await expect(scene.client(token).session(bob).enqueue("x")).rejects.toMatchObject(hidden);
    await expect(scene.client(token).session(bob).erase()).rejects.toMatchObject(hidden);
  }
  for (const token of ["ann", "prefix"]) {
    expect((await scene.client(token).listGlobalSessions()).sessions.map((one) => one.name)).toEqual([name]);
  }
  const first = await client.listGlobalSessions({ limit: 1 });
  expect(first).toMatchObject({ sessions: [{ name }], next: [support, "ann"] });
  const rest = await client.listGlobalSessions({ after: first.next ?? undefined });
  expect(rest).toMatchObject({ sessions: [{ name: bob }], next: null });
  const lines = await Array.fromAsync(session.export());
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ type: "session" });
  expect(await session.erase()).toMatchObject({ name, turns: 3 });
  expect(scene.wrong).toEqual([]);
  expect(scene.used).toContain("moveSession");
});
