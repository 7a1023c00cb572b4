import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { FakeMcpServer } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const mcpServers = { db: { command: "db-server" }, docs: { command: "docs-server" } };

/** Statuses of servers by name; servers without an entry are connected. */
type Doing = Record<string, FakeMcpServer>;

function fakeOf(doing: Doing): { mcpServer(name: string): FakeMcpServer | undefined } {
  return { mcpServer: (name) => doing[name] };
}

test("MCP servers: a failed server is a fault and an event, and degrades the session's health", async () => {
  const doing: Doing = { db: { status: "failed", error: "Connection closed" } };
  await using scene = await Scene.open({ session: { mcpServers }, fake: fakeOf(doing) });
  const events: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  await eventually(() => scene.session.status().faults.length === 1);
  const message = 'the MCP server "db": it is not connected: Connection closed';
  expect(scene.session.status()).toMatchObject({
    mcpServers: [
      { name: "db", status: "failed" },
      { name: "docs", status: "connected" },
    ],
    faults: [{ kind: "mcp_server_failed", server: "db", message }],
  });
  expect(await scene.session.health()).toEqual({ status: "degraded", reason: message });
  expect((await scene.supervisor.health()).status).toBe("degraded");
  // Turns run without the server.
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  await scene.supervisor.stop();
  await reading;
  expect(events.filter(({ type }) => type === "fault")).toHaveLength(1);
  const servers = expect.arrayContaining([{ name: "docs", status: "connected" }]);
  expect(events).toContainEqual(expect.objectContaining({ type: "mcp_servers", servers }));
});

test("MCP servers: the fault ends when the server connects, and returns when another one fails", async () => {
  const doing: Doing = { db: { status: "failed", error: "Connection closed" } };
  await using scene = await Scene.open({ session: { mcpServers }, fake: fakeOf(doing) });
  await scene.session.health();
  expect(scene.session.status().faults).toHaveLength(1);
  doing["db"] = { status: "connected" };
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  expect(scene.session.status().faults).toEqual([]);
  doing["docs"] = { status: "needs-auth" };
  await query(scene.name, "hi");
  await eventually(() => scene.session.status().faults.length === 1);
  expect(scene.session.status().faults[0]).toMatchObject({ server: "docs" });
});

test("MCP servers: a server that stays pending for ten seconds is a fault", async () => {
  const clock = new SimulatedClock();
  const doing: Doing = { db: { status: "pending" } };
  await using scene = await within(clock, Scene.open({ clock, session: { mcpServers }, fake: fakeOf(doing) }));
  await eventually(() => scene.session.status().mcpServers !== undefined);
  expect(scene.session.status().faults).toEqual([]);
  for (let i = 0; i < 22; i++) {
    await clock.advance(500);
    await ticks(5);
  }
  expect(scene.session.status().faults).toMatchObject([{ server: "db", message: expect.stringContaining("for 10s") }]);
});

test("MCP servers: a fault persists over hibernation, once, and ends after a restart with a sound server", async () => {
  const doing: Doing = { db: { status: "failed", error: "Connection closed" } };
  await using scene = await Scene.open({ session: { mcpServers }, fake: fakeOf(doing) });
  await scene.session.health();
  const [fault] = scene.session.status().faults;
  await scene.session.hibernate();
  expect(scene.session.status().faults).toEqual([fault]);
  await scene.session.wake();
  await scene.session.health();
  expect(scene.session.status().faults).toEqual([fault]);
  doing["db"] = { status: "connected" };
  await scene.session.restart();
  await scene.session.health();
  expect(scene.session.status().faults).toEqual([]);
});

test("requireMcpServers: a start waits until the named servers are connected", async () => {
  const doing: Doing = { db: { status: "pending" }, docs: { status: "failed", error: "not asked for" } };
  const name = unique();
  const session_ = { mcpServers, requireMcpServers: ["db"] };
  const opening = Scene.open({ children: [{ name, ...session_ }], fake: fakeOf(doing) });
  await eventually(() => session(name).status().pid !== undefined);
  await ticks(20);
  expect(session(name).status().state).toBe("starting");
  doing["db"] = { status: "connected" };
  await using scene = await opening;
  expect(scene.supervisor.notStarted).toEqual([]);
});

for (const [what, doing, requireMcpServers, starts] of [
  ["exits at once", { db: { status: "failed", error: "Connection closed" } }, true, 4],
  ["does not exist", { db: { status: "failed", error: "ENOENT: no such file or directory" } }, ["db", "docs"], 1],
  ["needs authentication", { docs: { status: "needs-auth" } }, ["docs"], 1],
] as const) {
  test(`requireMcpServers: a server that ${what} fails the start`, async () => {
    await using scene = await Scene.open({ session: { mcpServers, requireMcpServers }, fake: fakeOf({ ...doing }) });
    const [failed] = scene.supervisor.notStarted;
    expect(failed?.error.message).toMatch(/the required MCP server "(db|docs)": it is not connected/);
    expect(scene.fake.processes).toHaveLength(starts);
    expect(scene.session.status().state).toBe("quarantined");
  });
}

test("requireMcpServers: rejects an unknown server with a suggestion", async () => {
  const opening = Scene.open({ session: { mcpServers, requireMcpServers: ["dbs"] } });
  const error = await failure(opening, "INVALID_OPTIONS");
  expect(error.message).toContain('"dbs" is not in `mcpServers`; did you mean `db`');
});

test("requireMcpServers: a session does not take a spare that has not waited for its servers", async () => {
  const doing: Doing = { db: { status: "pending" } };
  const name = unique();
  await using scene = await Scene.open({
    children: [{ name, mcpServers, requireMcpServers: true, activation: "lazy" }],
    options: { capacity: { spares: 1 } },
    fake: fakeOf(doing),
  });
  const reply = query(name, "hi");
  await ticks(50);
  expect(scene.session.status().state).toBe("starting");
  doing["db"] = { status: "connected" };
  expect((await reply).text).toBe("You said: hi");
});
