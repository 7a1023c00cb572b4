import { once as happens } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Supervisor, template } from "castellan";
import { CastellanClient } from "castellan/client";
import type { ServerHandler } from "castellan/server";
import { describe, expect, onTestFinished, test } from "vitest";
import { expressApp, fastifyApp, handlerFor, honoApp, nextRoute, serve, shutDown } from "../../examples/server.ts";
import { onFake } from "./on-fake.ts";

type Listener = NonNullable<Parameters<typeof createServer>[1]>;

async function served(listener: Listener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await happens(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const frameworks: [string, (handler: ServerHandler) => Promise<string>][] = [
  ["Hono", async (handler) => await served(getRequestListener(honoApp(handler).fetch))],
  ["Express", async (handler) => await served(expressApp(handler))],
  [
    "Fastify",
    async (handler) => {
      const app = fastifyApp(handler);
      onTestFinished(async () => {
        app.server.closeAllConnections();
        await app.close();
      });
      return await app.listen({ port: 0, host: "127.0.0.1" });
    },
  ],
  [
    "Next.js",
    async (handler) => await served(getRequestListener((request) => nextRoute(handler)[methodOf(request)](request))),
  ],
];

function methodOf({ method }: Request): "GET" | "POST" {
  return method === "POST" ? "POST" : "GET";
}

describe.each(frameworks)("server.ts in %s", (_, mounted) => {
  test("authenticates users, shows them their own sessions, and streams", async () => {
    const { options } = onFake();
    const support = template("support", (user: string) => ({ labels: { user } }));
    await using supervisor = await Supervisor.start([support], options);
    await Promise.all([supervisor.query(["support", "ann"], "hi"), supervisor.query(["support", "bob"], "hi")]);
    const userOf = (cookie: string): string | undefined => /^user=(\w+)$/.exec(cookie)?.[1];
    const handler = handlerFor(supervisor, userOf);
    const url = await mounted(handler);
    const cookie = "user=ann";
    const client = new CastellanClient({
      url,
      fetch: (address, init) =>
        fetch(address, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), cookie } }),
    });
    const names = (await client.listSessions()).sessions.map(({ name }) => name);
    expect(names).toEqual([["support", "ann"]]);
    expect((await client.session(["support", "ann"]).query("over HTTP")).text).toContain("over HTTP");
    await expect(client.session(["support", "bob"]).get()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect((await fetch(`${url}/castellan/v1/sessions`)).status).toBe(401);
    const events = client.session(["support", "ann"]).events({ after: 0, types: ["turn_accepted"] });
    expect((await events.next()).value).toMatchObject({ type: "turn_accepted", prompt: "hi" });
    await events.return();
  });
});

test("server.ts: drains the server before the supervisor, and closes it afterwards", async () => {
  const { options } = onFake();
  await using supervisor = await Supervisor.start([{ name: "assistant" }], options);
  const server = await serve(supervisor);
  const stream = await fetch(`${server.url}/castellan/v1/sessions/%22assistant%22/events/stream`);
  await shutDown(supervisor, server);
  expect(await stream.text()).toContain("retry:");
  await expect(fetch(`${server.url}/livez`)).rejects.toThrow();
});
