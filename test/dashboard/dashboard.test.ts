import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { dashboard } from "../../src/dashboard/index.ts";
import { listen } from "../../src/server/index.ts";
import { ServerScene } from "../server/scene.ts";
import { dashboardOn, loggedIn, ORIGIN, pageRequest, SCRIPT } from "./page-scene.ts";

const SESSIONS = "/dashboard/castellan/v1/sessions";
const ONE = `${SESSIONS}/${encodeURIComponent('"assistant"')}`;

describe("dashboard", () => {
  test("refuses to be made without `auth`, and with a path, an `auth` or an option that it does not know", async () => {
    await using scene = await ServerScene.start();
    const make = (options: object) => () => dashboard(scene.supervisor, options as Parameters<typeof dashboard>[1]);
    expect(make({})).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS", message: expect.stringContaining("auth") }),
    );
    expect(make({ auth: undefined })).toThrow("write `false`");
    for (const auth of [true, "", 1, null, {}]) expect(make({ auth })).toThrow("auth");
    for (const basePath of ["", "/", "x", "/a/", '/"><script>', "/a b"])
      expect(make({ auth: false, basePath })).toThrow("basePath");
    expect(make({ auth: false, readonly: true })).toThrow("readOnly");
    expect(make({ auth: false })).not.toThrow();
    expect(make({ auth: () => undefined })).not.toThrow();
  });

  test("serves its document at every address below its path, without an inline script, under a strict policy", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene, { basePath: "/admin/agents" });
    const answers = await Promise.all(
      ["/", "/sessions/%22a%22", "/no/such/%3Cscript%3Ealert(1)%3C/script%3E?q=%3Cimg%3E"].map(async (path) => {
        const answer = await page(pageRequest(`/admin/agents${path}`));
        expect(answer.status).toBe(200);
        const policy = answer.headers.get("content-security-policy") ?? "";
        expect(policy).toContain("default-src 'none'");
        expect(policy).toContain("require-trusted-types-for 'script'");
        expect(policy).not.toMatch(/unsafe|\*|https?:/);
        expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
        return await answer.text();
      }),
    );
    expect(new Set(answers).size).toBe(1);
    const [html = ""] = answers;
    expect(html.match(/<script[^>]*>/g)).toEqual(['<script type="module" src="/admin/agents/assets/page.js">']);
    expect(html).not.toMatch(/<style|\son\w+=|style=|https?:/);
    const moved = await page(pageRequest("/admin/agents?q=x"));
    expect([moved.status, moved.headers.get("location")]).toEqual([308, "/admin/agents/?q=x"]);
    expect((await page(pageRequest("/elsewhere"))).status).toBe(404);
    expect((await page(pageRequest("/admin/agents-too/"))).status).toBe(404);
  });

  test("serves files of the page only, compressed and with an `ETag`", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const plain = await page(pageRequest("/dashboard/assets/page.js"));
    expect(plain.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(await plain.text()).toBe(SCRIPT);
    const zipped = await page(pageRequest("/dashboard/assets/page.js", { headers: { "accept-encoding": "br, gzip" } }));
    expect(zipped.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(await zipped.arrayBuffer()).toString()).toBe(SCRIPT);
    const refused = { "accept-encoding": "gzip;q=0" };
    expect(
      (await page(pageRequest("/dashboard/assets/page.js", { headers: refused }))).headers.has("content-encoding"),
    ).toBe(false);
    const known = { "if-none-match": plain.headers.get("etag") ?? "" };
    expect((await page(pageRequest("/dashboard/assets/page.js", { headers: known }))).status).toBe(304);
    for (const name of ["secret.txt", "..%2ftokens.jsonl", "..%5ctokens.jsonl", "none.js", "constructor", ""]) {
      expect((await page(pageRequest(`/dashboard/assets/${name}`))).status, name).toBe(404);
    }
  });

  test("a page that has not been built is told, and the API works", async () => {
    await using scene = await ServerScene.start();
    const { dashboardOf } = await import("../../src/dashboard/dashboard.ts");
    const { PageFiles } = await import("../../src/dashboard/page-files.ts");
    const warnings: string[] = [];
    const logger = { info: () => {}, warn: (line: string) => void warnings.push(line) };
    const page = dashboardOf(scene.supervisor, { auth: false, logger }, new PageFiles(`${scene.folder}/none`));
    expect((await page(pageRequest("/dashboard/assets/page.js"))).status).toBe(500);
    expect(warnings.join()).toContain("npm run build");
    expect((await page(pageRequest(SESSIONS))).status).toBe(200);
  });
});

describe("the login", () => {
  test("takes a valid token, and keeps it where neither scripts nor other sites reach it", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const { token, info } = await scene.tokens.create({ scopes: ["read"] });
    expect((await page(pageRequest(SESSIONS))).status).toBe(401);
    const { set, cookie } = await loggedIn(page, `  ${token}\n`);
    expect(set).toBe(`castellan-dashboard=${token}; Path=/dashboard; HttpOnly; SameSite=Strict`);
    const answer = await page(pageRequest(SESSIONS, { headers: { cookie: `a=b; ${cookie}; c=d` } }));
    expect(await answer.json()).toMatchObject({ sessions: [{ name: "assistant" }], next: null });
    const server = await page(pageRequest("/dashboard/castellan/v1/server", { headers: { cookie } }));
    expect(await server.json()).toMatchObject({ caller: { id: `token:${info.id}`, scopes: ["read"] } });
    const left = await page(pageRequest("/dashboard/login", { method: "DELETE", headers: { cookie } }));
    expect(left.headers.get("set-cookie")).toContain(
      "castellan-dashboard=; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age=0",
    );
    await scene.tokens.revoke(info.id);
    await expect.poll(async () => (await page(pageRequest(SESSIONS, { headers: { cookie } }))).status).toBe(401);
  });

  test("sends the cookie over HTTPS only, if the browser speaks HTTPS", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const { token } = await scene.tokens.create();
    const headers = { host: "a.example", origin: "https://a.example" };
    const direct = new Request("https://a.example/dashboard/login", { method: "POST", body: token, headers });
    const proxied = pageRequest("/dashboard/login", {
      method: "POST",
      body: token,
      headers: { "x-forwarded-proto": "https, http" },
    });
    for (const request of [direct, proxied]) {
      const answer = await page(request);
      expect(answer.headers.get("set-cookie")).toMatch(/; Secure$/);
    }
  });

  test("refuses what is no token, and sets no cookie", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const { token } = await scene.tokens.create();
    const wrong = ["", "x", `${token}x`, `${token}; Path=/`, `${token}\r\nset-cookie: a=b`, "\u0000", '{"token":1}'];
    for (const body of wrong) {
      const answer = await page(pageRequest("/dashboard/login", { method: "POST", body }));
      expect([answer.status, answer.headers.get("set-cookie")], body).toEqual([401, null]);
    }
    const large = await page(pageRequest("/dashboard/login", { method: "POST", body: "x".repeat(1_000_000) }));
    expect(large.status).toBe(413);
    expect((await page(pageRequest("/dashboard/login"))).status).toBe(405);
  });

  test("another way to send a token is no login: a page of another site could not, and a program has the API", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const { token } = await scene.tokens.create();
    for (const headers of [{ authorization: `Bearer ${token}` }, { "x-api-key": token }]) {
      expect((await page(pageRequest(SESSIONS, { headers }))).status).toBe(401);
    }
  });
});

describe("what a user may do holds on the server", () => {
  test("writes need the page's own origin", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    const { token } = await scene.tokens.create({ scopes: ["read", "operate"] });
    const { cookie } = await loggedIn(page, token);
    const restart = (headers: Record<string, string>) =>
      page(pageRequest(`${ONE}/restart`, { method: "POST", headers: { cookie, ...headers } }));
    for (const origin of ["none", "null", "https://evil.example", "http://127.0.0.1:3000", `${ORIGIN}.evil.example`]) {
      const answer = await restart({ origin });
      expect([answer.status, ((await answer.json()) as { error?: { code?: string } }).error?.code], origin).toEqual([
        403,
        "BAD_ORIGIN",
      ]);
    }
    const stolen = pageRequest("/dashboard/login", {
      method: "POST",
      body: token,
      headers: { origin: "https://evil.example" },
    });
    expect((await page(stolen)).status).toBe(403);
    expect(scene.fake.processes).toHaveLength(1);
    expect((await restart({})).status).toBe(200);
    expect(scene.fake.processes).toHaveLength(2);
  });

  test("scopes and reach of the token hold", async () => {
    await using scene = await ServerScene.start([{ name: "assistant" }, template("support", () => ({}))]);
    await scene.supervisor.query(["support", 1], "hello");
    const page = await dashboardOn(scene);
    const { token } = await scene.tokens.create({ scopes: ["read"], prefix: "support" });
    const { cookie } = await loggedIn(page, token);
    const answer = await page(pageRequest(SESSIONS, { headers: { cookie } }));
    const list = (await answer.json()) as { sessions: { name: unknown }[] };
    expect(list.sessions.map(({ name }) => name)).toEqual([["support", 1]]);
    expect((await page(pageRequest(ONE, { headers: { cookie } }))).status).toBe(404);
    expect((await page(pageRequest("/dashboard/castellan/v1/capacity", { headers: { cookie } }))).status).toBe(403);
    const own = `${SESSIONS}/${encodeURIComponent('["support",1]')}/restart`;
    expect((await page(pageRequest(own, { method: "POST", headers: { cookie } }))).status).toBe(403);
  });

  test.each([
    ["a token", "token"],
    ["the application's own authentication", "function"],
    ["nobody", "false"],
  ])("`readOnly` refuses every write of %s", async (_, way) => {
    await using scene = await ServerScene.start();
    const all = { id: "boss", scopes: new Set(["read", "talk", "approve", "operate"] as const) };
    const auth = way === "token" ? scene.tokens : way === "function" ? () => all : false;
    const page = await dashboardOn(scene, { auth, readOnly: true });
    const { token } = await scene.tokens.create({ scopes: ["read", "talk", "approve", "operate"] });
    const cookie = way === "token" ? (await loggedIn(page, token)).cookie : "";
    const writes: [string, string, object?][] = [
      ["POST", `${ONE}/restart`],
      ["POST", `${ONE}/stop`],
      ["DELETE", ONE],
      ["PATCH", ONE, { title: "x" }],
      ["POST", `${ONE}/turns`, { prompt: "hello" }],
      ["POST", "/dashboard/castellan/v1/drain"],
    ];
    for (const [method, path, body] of writes) {
      const json = body === undefined ? {} : { body: JSON.stringify(body) };
      const headers = { cookie, "content-type": "application/json" };
      expect((await page(pageRequest(path, { method, headers, ...json }))).status, `${method} ${path}`).toBe(403);
    }
    expect((await page(pageRequest(ONE, { headers: { cookie } }))).status).toBe(200);
    expect(scene.fake.processes).toHaveLength(1);
  });

  test("the application's own authentication decides, and gets each request without its body", async () => {
    await using scene = await ServerScene.start();
    const seen: Request[] = [];
    const page = await dashboardOn(scene, {
      auth: (request) => {
        seen.push(request);
        if (request.headers.get("cookie") === "sid=broken") throw new Error("the database is down");
        return request.headers.get("cookie") === "sid=1" ? { id: "ann", scopes: new Set(["read"]) } : undefined;
      },
    });
    expect((await page(pageRequest(SESSIONS, { headers: { cookie: "sid=1" } }))).status).toBe(200);
    expect((await page(pageRequest(SESSIONS, { headers: { cookie: "sid=2" } }))).status).toBe(401);
    expect((await page(pageRequest(SESSIONS, { headers: { cookie: "sid=broken" } }))).status).toBe(500);
    expect(seen.every(({ body }) => body === null)).toBe(true);
    expect((await page(pageRequest("/dashboard/login", { method: "POST", body: "x" }))).status).toBe(404);
    expect(await (await page(pageRequest("/dashboard/"))).text()).toContain('data-login="application"');
  });

  test("`auth: false` takes no name but the loopback ones and `hosts`, because a page may rebind its own", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene, { auth: false });
    const named = await dashboardOn(scene, { auth: false, hosts: ["agents.example"] });
    const from = (host: string) => pageRequest(SESSIONS, { headers: { host } });
    expect((await page(from("localhost:4870"))).status).toBe(200);
    expect((await page(from("agents.example"))).status).toBe(403);
    expect((await named(from("agents.example"))).status).toBe(200);
    expect((await named(from("evil.example"))).status).toBe(403);
  });

  test("only Castellan's own API is below the path of the page", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene, { auth: false });
    for (const path of ["/mcp", "/anthropic/v1/sessions", "/livez", "/castellan/v1"]) {
      const answer = await page(pageRequest(`/dashboard${path}`));
      expect(answer.headers.get("content-type"), path).toContain("text/html");
      expect((await page(pageRequest(`/dashboard${path}`, { method: "POST" }))).status, path).toBe(405);
    }
    expect((await page(pageRequest("/dashboard/castellan/v1/../../mcp", { method: "POST" }))).status).toBe(405);
    expect(
      (await page(pageRequest("/dashboard/castellan/v1/%2e%2e/%2e%2e/anthropic/v1/sessions"))).headers.get(
        "content-type",
      ),
    ).toContain("text/html");
  });
});

describe("where it is mounted", () => {
  test("`listen` mounts it beside its own paths, trusts whom the server trusts, and ends its streams at a drain", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    await using server = await listen(scene.supervisor, { tokens: false, mounts: { "/dashboard": page } });
    const document = await fetch(`${server.url}/dashboard`);
    expect([document.status, new URL(document.url).pathname]).toEqual([200, "/dashboard/"]);
    expect((await fetch(`${server.url}${SESSIONS}`)).status).toBe(200);
    expect((await fetch(`${server.url}/castellan/v1/sessions`)).status).toBe(200);
    expect((await fetch(`${server.url}/dashboards`)).status).toBe(404);
    const stream = await fetch(`${server.url}/dashboard/castellan/v1/events/stream`);
    server.drain();
    expect(await stream.text()).toContain("event: reconnect");
  });

  test("`listen` with tokens asks for a login", async () => {
    await using scene = await ServerScene.start();
    const { token } = await scene.tokens.create({ scopes: ["read"] });
    const page = await dashboardOn(scene);
    await using server = await listen(scene.supervisor, { tokens: scene.tokens, mounts: { "/dashboard": page } });
    expect((await fetch(`${server.url}${SESSIONS}`)).status).toBe(401);
    const login = await fetch(`${server.url}/dashboard/login`, {
      method: "POST",
      body: token,
      headers: { origin: server.url },
    });
    const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect((await fetch(`${server.url}${SESSIONS}`, { headers: { cookie } })).status).toBe(200);
  });

  test.each(["/dashboard/", "a", "", "/<x>"])("`listen` refuses the path %j of a mount", async (path) => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene);
    await expect(listen(scene.supervisor, { tokens: false, mounts: { [path]: page } })).rejects.toThrow("mounts");
  });

  test("its listener serves `node:http`, also where Express has cut the path", async () => {
    await using scene = await ServerScene.start();
    const page = await dashboardOn(scene, { auth: false });
    const server = createServer((incoming, outgoing) => {
      if (incoming.url === undefined) return;
      // As Express does it.
      Object.assign(incoming, { originalUrl: incoming.url });
      incoming.url = incoming.url.replace("/dashboard", "");
      page.listener(incoming, outgoing);
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await fetch(`${url}${SESSIONS}`)).status).toBe(200);
    expect(await (await fetch(`${url}/dashboard/assets/page.js`)).text()).toBe(SCRIPT);
    const restarted = await fetch(`${url}${ONE}/restart`, { method: "POST", headers: { origin: url } });
    expect(restarted.status).toBe(200);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});
