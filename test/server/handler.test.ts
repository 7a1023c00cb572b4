import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { serverHandler } from "../../src/server/handler.ts";
import type { ServerOptions } from "../../src/server/server-options.ts";
import { ServerScene } from "./scene.ts";

let scene: ServerScene;
let token: string;

beforeAll(async () => {
  scene = await ServerScene.start();
  ({ token } = await scene.tokens.create({ scopes: ["read", "talk", "approve", "operate"], note: "tests" }));
});

afterAll(() => scene[Symbol.asyncDispose]());

function handlerWith(options: ServerOptions = {}): ReturnType<typeof serverHandler> {
  return serverHandler(scene.supervisor, { tokens: scene.tokens, ...options });
}

function get(path: string, headers: Record<string, string> = {}): Request {
  return new Request(`http://localhost:8080${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } });
}

function post(path: string, body: string, headers: Record<string, string> = {}): Request {
  const own = { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers };
  return new Request(`http://localhost:8080${path}`, { method: "POST", body, headers: own });
}

describe("serverHandler", () => {
  it("refuses to be made without tokens and without authentication", () => {
    expect(() => serverHandler(scene.supervisor)).toThrow("`tokens`");
    expect(() => serverHandler(scene.supervisor, { tokens: false })).toThrow("`tokens`");
  });

  it.each([
    [{ rateLimit: { requests: 0, per: "1s" } }, "rateLimit.requests"],
    [{ rateLimit: { requests: 1, per: "x" } }, "rateLimit"],
    [{ maxStreams: 0 }, "maxStreams"],
    [{ maxStreams: true as false }, "maxStreams"],
    [{ maxStreams: Number.POSITIVE_INFINITY }, "maxStreams"],
    [{ maxBodySize: "big" }, "maxBodySize"],
    [{ hosts: ["a.example:80"] }, "hosts.0"],
    [{ origins: ["https://a.example/"] }, "origins.0"],
    [{ origins: ["*"] }, "origins.0"],
    [{ basePath: "/a/" }, "basePath"],
    [{ ping: 0 }, "ping"],
    [{ logger: {} }, "logger"],
    [{ authenticate: "yes" }, "authenticate"],
    [{ token: "x" }, "token"],
  ])("refuses %j and names the field", (options, field) => {
    expect(() => handlerWith(options as ServerOptions)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS", details: { problems: [expect.objectContaining({ field })] } }),
    );
  });

  it("refuses what is no supervisor", () => {
    expect(() => serverHandler({} as Supervisor, { tokens: scene.tokens })).toThrow("`supervisor`");
  });

  it("answers the probes without a token, and tells strangers nothing more", async () => {
    const handler = handlerWith();
    for (const path of ["/livez", "/readyz"]) {
      const response = await handler(new Request(`http://localhost${path}`));
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ status: "ok" });
    }
    handler.drain();
    expect((await handler(new Request("http://localhost/readyz"))).status).toBe(503);
    expect((await handler(new Request("http://localhost/livez"))).status).toBe(200);
  });

  it("asks for a token before it tells whether a path exists", async () => {
    const handler = handlerWith();
    for (const path of ["/castellan/v1/sessions", "/castellan/v1/none", "/", "/anthropic/v1/sessions"]) {
      const response = await handler(new Request(`http://localhost${path}`));
      expect(response.status).toBe(401);
      expect(response.headers.get("request-id")).toMatch(/^req_/);
    }
    expect((await handler(get("/castellan/v1/none"))).status).toBe(404);
  });

  it("gives errors the form of the API that was asked", async () => {
    const handler = handlerWith();
    const native = await handler(get("/castellan/v1/none"));
    expect(await native.json()).toEqual({ error: { code: "NOT_FOUND", message: expect.any(String) } });
    const anthropic = await handler(get("/anthropic/v1/none"));
    expect(await anthropic.json()).toEqual({
      type: "error",
      error: { type: "not_found_error", message: expect.any(String), details: { error_code: "NOT_FOUND" } },
      request_id: anthropic.headers.get("request-id"),
    });
  });

  it("says at the path of the model API that it is no model", async () => {
    const handler = handlerWith();
    for (const path of ["/anthropic/v1/messages", "/v1/messages", "/v1/messages/count_tokens"]) {
      const response = await handler(post(path, "{}"));
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({
        type: "error",
        error: { message: expect.stringContaining("ANTHROPIC_BASE_URL") },
      });
    }
  });

  it("limits the requests of each caller, and says when the next is due", async () => {
    const handler = handlerWith({ rateLimit: { requests: 2, per: "1h" } });
    const { token: other } = await scene.tokens.create();
    expect((await handler(get("/x"))).status).toBe(404);
    expect((await handler(get("/x"))).status).toBe(404);
    const limited = await handler(get("/x"));
    expect(limited.status).toBe(429);
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(1_000);
    expect((await handler(get("/x", { authorization: `Bearer ${other}` }))).status).toBe(404);
  });

  it("refuses a body that is too large, with and without a length, and one on another path", async () => {
    const handler = handlerWith({ maxBodySize: 100 });
    const body = JSON.stringify("x".repeat(200));
    const known = post("/anthropic/v1/messages", body, { "content-length": String(body.length) });
    expect((await handler(known)).status).toBe(413);
    const unknown = await handler(post("/anthropic/v1/messages", body));
    expect(unknown.status).toBe(413);
    expect(await unknown.json()).toMatchObject({ error: { type: "request_too_large" } });
    expect((await handler(post("/anthropic/v1/messages", "{}"))).status).toBe(404);
  });

  it("checks the names of the server if they are given", async () => {
    const handler = handlerWith({ hosts: ["castellan.example.com"] });
    expect((await handler(get("/x", { host: "castellan.example.com:443" }))).status).toBe(404);
    const rebound = await handler(get("/x", { host: "evil.example" }));
    expect(rebound.status).toBe(403);
    expect(await rebound.json()).toMatchObject({ error: { code: "BAD_HOST" } });
  });

  it("refuses pages of other origins, also those without a token, and lets the named ones in", async () => {
    const handler = handlerWith({ origins: ["https://app.example.com"] });
    const headers = { host: "castellan.example.com" };
    expect((await handler(get("/x", { ...headers, origin: "https://evil.example" }))).status).toBe(403);
    expect((await handler(get("/livez", { ...headers, origin: "null" }))).status).toBe(403);
    expect((await handler(get("/x", { ...headers, origin: "https://castellan.example.com" }))).status).toBe(404);
    const named = await handler(get("/x", { ...headers, origin: "https://app.example.com" }));
    expect(named.status).toBe(404);
    expect(named.headers.get("access-control-allow-origin")).toBe("https://app.example.com");
    const own = await handler(get("/x", { ...headers, origin: "https://castellan.example.com" }));
    expect(own.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("answers a preflight of a named origin only", async () => {
    const handler = handlerWith({ origins: ["https://app.example.com"] });
    const preflight = (origin: string): Request =>
      new Request("http://castellan.example.com/castellan/v1/sessions", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type",
        },
      });
    const allowed = await handler(preflight("https://app.example.com"));
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(allowed.headers.get("access-control-allow-credentials")).toBeNull();
    const refused = await handler(preflight("https://evil.example"));
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("shows the caller an error of its own authentication as internal, and logs it under the id of the request", async () => {
    scene.lines.length = 0;
    const authenticate = (): never => {
      throw new Error("the directory at 10.0.0.9 is down");
    };
    const response = await handlerWith({ authenticate, logger: scene.logger })(get("/x"));
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).toContain("INTERNAL");
    expect(text).not.toContain("10.0.0.9");
    const requestId = response.headers.get("request-id") ?? "";
    expect(scene.lines.filter((line) => line.includes("10.0.0.9") && line.includes(requestId))).toHaveLength(1);
  });

  it("logs each request without key, query and body", async () => {
    scene.lines.length = 0;
    const handler = handlerWith({ logger: scene.logger });
    await handler(post("/castellan/v1/none?prompt=secret-query", '"secret-body"', { "x-api-key": token }));
    await handler(new Request("http://localhost/x", { headers: { authorization: "Bearer secret-key" } }));
    expect(scene.lines).toEqual([
      expect.stringMatching(/^POST \/castellan\/v1\/none 404 \d+ms caller=token:[0-9a-f]{16} request=req_/),
      expect.stringMatching(/^GET \/x 401 \d+ms caller=- request=req_/),
    ]);
    expect(scene.lines.join()).not.toMatch(new RegExp(`secret|${token}`));
  });

  it("works below a path, and answers outside of it too", async () => {
    const handler = handlerWith({ basePath: "/agents" });
    expect((await handler(new Request("http://localhost/agents/livez"))).status).toBe(200);
    expect((await handler(get("/livez"))).status).toBe(404);
    const response = await handler(post("/agents/anthropic/v1/messages", "{}"));
    expect(await response.json()).toMatchObject({ type: "error", error: { type: "not_found_error" } });
  });

  it("mounts in Hono", async () => {
    const handler = handlerWith();
    const app = new Hono().get("/own", (c) => c.text("own")).all("/castellan/*", (c) => handler(c.req.raw));
    expect(await (await app.request("/own")).text()).toBe("own");
    expect((await app.request("/castellan/v1/none")).status).toBe(401);
    expect((await app.request(get("/castellan/v1/none"))).status).toBe(404);
  });
});
