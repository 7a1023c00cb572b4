import { expect, it } from "vitest";
import type { McpServer } from "../../src/claude/mcp-servers.ts";
import { McpWatch } from "../../src/session/process/mcp-watch.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

class Scene {
  readonly clock = new SimulatedClock();
  servers: readonly McpServer[] = [];
  looks = 0;
  told: readonly McpServer[] = [];
  readonly watch = new McpWatch(
    async () => {
      this.looks++;
      return this.servers;
    },
    this.clock,
    (servers) => {
      this.told = servers;
    },
  );
}

it("McpWatch: polls often while a server is pending, then every ten seconds, and stops without servers", async () => {
  const scene = new Scene();
  scene.servers = [{ name: "db", status: "pending" }];
  await scene.watch.poll();
  await scene.clock.advance(2_000);
  expect(scene.looks).toBe(5);
  scene.servers = [{ name: "db", status: "connected" }];
  await scene.clock.advance(500);
  await scene.clock.advance(30_000);
  expect(scene.looks).toBe(9);
  scene.servers = [];
  await scene.clock.advance(60_000);
  expect(scene.looks).toBe(10);
});

it("McpWatch: reports a server that has been pending for ten seconds, until it connects", async () => {
  const scene = new Scene();
  scene.servers = [{ name: "db", status: "pending" }];
  await scene.watch.poll();
  await scene.clock.advance(9_500);
  expect(scene.told[0]?.reason).toBeUndefined();
  await scene.clock.advance(500);
  expect(scene.told).toEqual([{ name: "db", status: "pending", reason: "it has not answered for 10s" }]);
  scene.servers = [{ name: "db", status: "connected" }];
  await scene.clock.advance(500);
  expect(scene.told).toEqual(scene.servers);
});

it("McpWatch: polls again after a failed poll, and stops with the process", async () => {
  const clock = new SimulatedClock();
  let looks = 0;
  const look = async (): Promise<McpServer[]> => {
    looks++;
    throw new Error("no answer");
  };
  const watch = new McpWatch(look, clock, () => {});
  await expect(watch.poll()).rejects.toThrow("no answer");
  await clock.advance(10_000);
  expect(looks).toBe(2);
  watch.stop();
  await clock.advance(60_000);
  expect(looks).toBe(2);
});
