import { expect, test } from "vitest";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { follow } from "../../src/telemetry/follow.ts";
import { logEvents } from "../../src/telemetry/log.ts";
import { METRICS } from "../../src/telemetry/otel.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import type { FakeMcpServer } from "../../src/testing/index.ts";
import { eventually, Scene, unique } from "../session-on-fake/scene.ts";
import { measured } from "./measured.ts";
import { collectEvents } from "./published-events.ts";

const failed: FakeMcpServer = { status: "failed", error: "Connection closed" };

test("castellan:session:fault: is published, logged and measured for a failed MCP server, and measured as 0 once that is connected", async () => {
  const { stop, points } = measured();
  using told = collectEvents("castellan:session:fault");
  const lines: object[] = [];
  const silence = logEvents({ info: () => {}, warn: (fields) => lines.push(fields) });
  const doing: Record<string, FakeMcpServer> = { db: failed };
  await using scene = await Scene.open({
    session: { mcpServers: { db: { command: "db-server" }, docs: { command: "docs-server" } } },
    options: { name: "shop" },
    fake: { mcpServer: (name) => doing[name] },
  });
  const mine = { "castellan.supervisor.name": "shop" };
  await scene.session.health();
  expect(await points(METRICS.faults)).toEqual([{ ...mine, "castellan.fault.kind": "mcp_server_failed", value: 1 }]);
  expect(await points(METRICS.mcpServersFailed)).toEqual([{ ...mine, "castellan.mcp.server.name": "db", value: 1 }]);
  const reason = 'the MCP server "db": it is not connected: Connection closed';
  const fault = { session: scene.name, supervisor: "shop", kind: "mcp_server_failed", server: "db", reason };
  expect(told.heard).toEqual([fault]);
  expect(lines).toContainEqual(fault);

  doing["db"] = { status: "connected" };
  await scene.session.health();
  expect(await points(METRICS.mcpServersFailed)).toMatchObject([{ "castellan.mcp.server.name": "db", value: 0 }]);
  doing["db"] = failed;
  await scene.session.health();
  expect(await points(METRICS.faults)).toMatchObject([{ value: 2 }]);
  await scene.supervisor.stop();
  expect(await points(METRICS.mcpServersFailed)).toMatchObject([{ value: 0 }]);
  silence();
  stop();
});

test("the metric of failed MCP servers: names fifty servers, and counts the others together", async () => {
  const metrics = prometheus();
  const names = Array.from({ length: 60 }, (_, n) => `server-${n}`);
  const mcpServers = Object.fromEntries(names.map((name) => [name, { command: name }]));
  await using scene = await Scene.open({
    session: { mcpServers },
    options: { name: unique("shop") },
    fake: { mcpServer: () => failed },
  });
  await scene.session.health();
  const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("castellan_mcp_servers_failed{"));
  expect(lines).toHaveLength(51);
  expect(lines.find((line) => line.includes("_OTHER"))).toMatch(/ 10$/);
  await metrics.stop();
});

test("castellan:session:fault: is published and measured without a server for a fault of another kind", async () => {
  const { stop, points } = measured();
  using told = collectEvents("castellan:session:fault");
  const mirror = { type: "system", subtype: "mirror_error", error: "full", key: { projectKey: "p", sessionId: "s" } };
  const events: SessionEvent[] = [];
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit(mirror);
      await turn.text("fine");
    },
    options: { name: "shop" },
  });
  void (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  await scene.session.query("hi");
  await eventually(() => events.some(({ type }) => type === "fault"));
  expect(told.heard).toMatchObject([{ kind: "mirror_error" }]);
  expect(told.heard[0]).not.toHaveProperty("server");
  expect(await points(METRICS.faults)).toMatchObject([{ "castellan.fault.kind": "mirror_error", value: 1 }]);
  stop();
});

test("follow: names a failed MCP server, and does not log its last output", async () => {
  const doing: Record<string, FakeMcpServer> = {};
  await using scene = await Scene.open({
    session: { mcpServers: { db: { command: "db-server" } } },
    fake: { mcpServer: (name) => doing[name] },
  });
  const warned: [object, string][] = [];
  const logger = { info: () => {}, warn: (fields: object, message: string) => warned.push([fields, message]) };
  const end = follow(scene.name, { logger, content: true });
  await scene.session.health();
  doing["db"] = failed;
  await scene.session.health();
  expect(warned).toEqual([
    [
      { session: scene.name, supervisor: expect.any(String), kind: "mcp_server_failed", server: "db" },
      expect.stringContaining("session:fault"),
    ],
  ]);
  end();
});
