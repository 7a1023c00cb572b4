import { once as happens } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { Supervisor } from "castellan";
import { TokenStore } from "castellan/server";
import { describe, expect, onTestFinished, test } from "vitest";
import { expressApp, fastifyApp, honoApp, nextRoute, serveWithPage, staffPage } from "../../examples/dashboard.ts";
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
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/agents`;
}

const mounts: [string, (supervisor: Supervisor, tokens: string) => Promise<string>][] = [
  ["Hono", async (...given) => await served(getRequestListener(honoApp(...given).fetch))],
  ["Express", async (...given) => await served(expressApp(...given))],
  [
    "Fastify",
    async (...given) => {
      const app = fastifyApp(...given);
      onTestFinished(async () => {
        app.server.closeAllConnections();
        await app.close();
      });
      return `${await app.listen({ port: 0, host: "127.0.0.1" })}/agents`;
    },
  ],
  [
    "Next.js",
    async (...given) => {
      const route = nextRoute(...given);
      return await served(getRequestListener((request) => route[request.method as keyof typeof route](request)));
    },
  ],
  [
    "listen",
    async (...given) => {
      const server = await serveWithPage(...given);
      onTestFinished(async () => await server.close({ deadline: 0 }));
      return `${server.url}/dashboard`;
    },
  ],
];

async function started(): Promise<{ supervisor: Supervisor; tokens: string; token: string }> {
  const supervisor = await Supervisor.start([{ name: "assistant" }], onFake().options);
  const folder = await mkdtemp(join(tmpdir(), "castellan-dashboard-"));
  const tokens = join(folder, "tokens.jsonl");
  const { token } = await new TokenStore(tokens).create({ scopes: ["read", "talk", "operate"] });
  onTestFinished(async () => {
    await supervisor.stop();
    await rm(folder, { recursive: true });
  });
  return { supervisor, tokens, token };
}

describe.each(mounts)("dashboard.ts in %s", (_, mounted) => {
  test("serves the page, logs in, reads, streams and writes", async () => {
    const { supervisor, tokens, token } = await started();
    const base = await mounted(supervisor, tokens);
    const { origin } = new URL(base);
    const page = await fetch(base);
    expect([page.status, new URL(page.url).pathname]).toEqual([200, `${new URL(base).pathname}/`]);
    expect(await page.text()).toContain('data-login="token"');
    const api = `${base}/castellan/v1`;
    expect((await fetch(`${api}/sessions`)).status).toBe(401);
    const login = await fetch(`${base}/login`, { method: "POST", body: token, headers: { origin } });
    expect(login.status).toBe(204);
    const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect(await (await fetch(`${api}/sessions`, { headers: { cookie } })).json()).toMatchObject({
      sessions: [{ name: "assistant" }],
    });
    const leaving = new AbortController();
    const stream = await fetch(`${api}/events/stream`, { headers: { cookie }, signal: leaving.signal });
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toContain('"type":"opened"');
    const asked = await fetch(`${api}/sessions/%22assistant%22/turns`, {
      method: "POST",
      body: JSON.stringify({ prompt: "hello" }),
      headers: { cookie, origin, "content-type": "application/json" },
    });
    expect(asked.status).toBe(202);
    for (let seen = ""; !seen.includes('"type":"turn:end"'); ) seen += (await reader?.read())?.value ?? "";
    leaving.abort();
    const foreign = { cookie, origin: "https://evil.example" };
    const restart = `${api}/sessions/%22assistant%22/restart`;
    expect((await fetch(restart, { method: "POST", headers: foreign })).status).toBe(403);
    expect((await fetch(restart, { method: "POST", headers: { cookie, origin } })).status).toBe(200);
  });
});

test("dashboard.ts for the staff of an application: reads by the application's cookie, and writes nothing", async () => {
  const { supervisor } = await started();
  const app = staffPage(supervisor, (cookie) => (cookie === "staff=ann" ? "ann" : undefined));
  const base = await served(getRequestListener(app.fetch));
  const headers = { cookie: "staff=ann", origin: new URL(base).origin };
  expect((await fetch(`${base}/castellan/v1/sessions`)).status).toBe(401);
  expect((await fetch(`${base}/castellan/v1/sessions`, { headers })).status).toBe(200);
  expect((await fetch(`${base}/castellan/v1/sessions/%22assistant%22/stop`, { method: "POST", headers })).status).toBe(
    403,
  );
});
