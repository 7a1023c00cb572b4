import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { query } from "castellan";
import { expect, test, vi } from "vitest";
import { receiver, repair, start } from "../../examples/webhooks.ts";
import { SECRET } from "../webhooks/receiver.ts";
import { onFake } from "./on-fake.ts";

test("webhooks.ts: sends signed events, which the receiver verifies and handles once", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const handled: string[] = [];
  const done = new Set<string>();
  const came = Promise.withResolvers<void>();
  let fails = true;
  const server = receiver(SECRET, done, async ({ type }) => {
    // The first event is not handled.
    if (fails && type !== "webhook.test") throw new Error("the database is down");
    handled.push(type);
    if (type === "turn.completed") came.resolve();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  {
    await using supervisor = await start(url, SECRET, onFake().options);
    await query("assistant", "hello");
    await vi.waitUntil(() => supervisor.webhooks.list()[0]?.lastFailure?.status === 500);
    fails = false;
    expect(await repair(supervisor)).toEqual([]);
    supervisor.webhooks.retry("crm");
    await came.promise;
    expect(handled).toEqual(["turn.completed"]);
    expect(await supervisor.webhooks.test("crm")).toMatchObject({ delivered: true, status: 204 });
    expect(done.size).toBe(2);
    // A request of somebody else.
    const body = JSON.stringify({ type: "turn.completed", timestamp: new Date().toISOString(), data: {} });
    expect((await fetch(url, { method: "POST", body })).status).toBe(401);
    const signed = {
      "webhook-id": "x",
      "webhook-timestamp": String(Math.floor(Date.now() / 1_000)),
      "webhook-signature": "v1,AAAA",
    };
    expect((await fetch(url, { method: "POST", body, headers: signed })).status).toBe(401);
    // The receiver is gone, and comes back.
    server.close();
    server.closeAllConnections();
    await query("assistant", "again");
    await vi.waitUntil(() => supervisor.webhooks.list()[0]?.state === "failing");
    expect(await repair(supervisor)).toEqual(["crm"]);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("crm is failing, 1 sessions wait: ECONN"));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    await repair(supervisor);
    await vi.waitUntil(() => handled.filter((type) => type === "turn.completed").length === 2);
  }
  server.close();
  server.closeAllConnections();
});
