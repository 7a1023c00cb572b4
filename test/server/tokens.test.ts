import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authentication } from "../../src/server/access/authentication.ts";
import { parseToken, proves, sentTokens } from "../../src/server/access/token.ts";
import { TokenStore } from "../../src/server/access/token-store.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-tokens-"));
});

afterAll(() => rm(folder, { recursive: true }));

/** A path in a folder that does not exist yet. */
function freshPath(): string {
  return join(folder, String(++files), "tokens.jsonl");
}

function asking(token: string, header = "authorization"): Request {
  return new Request("http://localhost/", {
    headers: { [header]: header === "authorization" ? `Bearer ${token}` : token },
  });
}

describe("TokenStore", () => {
  it("shows a token once, and keeps only its hash, for its owner", async () => {
    const path = freshPath();
    const store = new TokenStore(path, { clock: new SimulatedClock() });
    const { token, info } = await store.create({ scopes: ["talk", "read"], prefix: ["support", 1], expiresIn: "1h" });
    expect(info).toMatchObject({
      scopes: ["read", "talk"],
      prefix: ["support", 1],
      createdAt: 0,
      expiresAt: 3_600_000,
    });
    const { secret = "" } = parseToken(token) ?? {};
    expect(Buffer.from(secret, "base64url")).toHaveLength(32);
    const text = await readFile(path, "utf8");
    expect(text).not.toContain(secret);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await store.list()).toEqual([info]);
    expect(JSON.stringify(await store.list())).not.toContain("hash");
  });

  it("keeps all tokens that several writers create at once", async () => {
    const path = freshPath();
    const created = await Promise.all(Array.from({ length: 20 }, () => new TokenStore(path).create({ note: "x" })));
    expect(new Set((await new TokenStore(path).list()).map(({ id }) => id))).toEqual(
      new Set(created.map(({ info }) => info.id)),
    );
  });

  it("revokes a token once, and knows no other ids", async () => {
    const path = freshPath();
    const clock = new SimulatedClock();
    const store = new TokenStore(path, { clock });
    const { info } = await store.create();
    expect(await store.revoke("0123456789abcdef")).toBe(false);
    await clock.advance(5);
    expect(await store.revoke(info.id)).toBe(true);
    await clock.advance(5);
    expect(await store.revoke(info.id)).toBe(true);
    expect(await store.list()).toEqual([{ ...info, revokedAt: 5 }]);
    expect(await store.hasValid()).toBe(false);
  });

  it("has no valid token without a file, and none once all have expired", async () => {
    const clock = new SimulatedClock();
    const store = new TokenStore(freshPath(), { clock });
    expect(await store.list()).toEqual([]);
    expect(await store.hasValid()).toBe(false);
    await store.create({ expiresIn: 10 });
    expect(await store.hasValid()).toBe(true);
    await clock.advance(10);
    expect(await store.hasValid()).toBe(false);
  });

  it.each([
    [{ scopes: [] }, "scopes"],
    [{ scopes: ["write"] }, "scopes"],
    [{ prefix: [] }, "prefix"],
    [{ expiresIn: "soon" }, "expiresIn"],
    [{ expiresIn: 0 }, "expiresIn"],
    [{ note: "x".repeat(201) }, "note"],
    [{ scope: ["read"] }, "scope"],
  ])("refuses %j and names the field", async (options, field) => {
    const failed = new TokenStore(freshPath()).create(options as object);
    await expect(failed).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
      details: { problems: [{ field: expect.stringMatching(`^${field}`) }] },
    });
  });

  it("skips a line that a full disk has cut, and refuses a record that it does not know", async () => {
    const path = freshPath();
    const store = new TokenStore(path);
    const { info } = await store.create();
    await writeFile(path, `${await readFile(path, "utf8")}{"id":"00`);
    const { info: second } = await new TokenStore(path).create();
    expect((await new TokenStore(path).list()).map(({ id }) => id)).toEqual([info.id, second.id]);
    await writeFile(path, `${await readFile(path, "utf8")}{"limited":"${info.id}"}\n`);
    await expect(new TokenStore(path).list()).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
  });

  it("refuses a file that other users may change", async () => {
    const path = freshPath();
    await new TokenStore(path).create();
    await chmod(path, 0o620);
    await expect(new TokenStore(path).list()).rejects.toThrow("chmod 600");
  });
});

describe("sentTokens", () => {
  it("reads both headers, and no other scheme", () => {
    expect(sentTokens(new Headers({ authorization: "bearer a", "x-api-key": "b" }))).toEqual(["a", "b"]);
    expect(sentTokens(new Headers({ authorization: "Basic a" }))).toEqual([]);
    expect(sentTokens(new Headers({ "x-api-key": "" }))).toEqual([""]);
  });
});

describe("proves", () => {
  it("is false without a stored token, for every secret", () => {
    expect(proves("", undefined)).toBe(false);
    expect(proves("x".repeat(43), undefined)).toBe(false);
  });
});

describe("Authentication", () => {
  function scene(authenticate?: (request: Request) => Caller | undefined): {
    store: TokenStore;
    clock: SimulatedClock;
    authentication: Authentication;
  } {
    const clock = new SimulatedClock();
    const store = new TokenStore(freshPath(), { clock });
    return { store, clock, authentication: new Authentication({ authenticate, tokens: store, clock }) };
  }

  it("takes a token in either header, and gives its limits to the caller", async () => {
    const { store, authentication } = scene();
    const { token, info } = await store.create({ scopes: ["talk"], prefix: "support", labels: { user: "ann" } });
    const caller = { id: `token:${info.id}`, scopes: new Set(["talk"]), prefix: "support", labels: { user: "ann" } };
    expect(await authentication.callerOf(asking(token))).toEqual(caller);
    expect(await authentication.callerOf(asking(token, "x-api-key"))).toEqual(caller);
    const both = new Request("http://localhost/", {
      headers: { authorization: "Bearer sk-ant-1", "x-api-key": token },
    });
    expect(await authentication.callerOf(both)).toEqual(caller);
  });

  it("refuses every other token in the same words", async () => {
    const { store, clock, authentication } = scene();
    const { token } = await store.create();
    const { token: other, info } = await store.create();
    const { token: expiring } = await store.create({ expiresIn: 1_000 });
    await store.revoke(info.id);
    await clock.advance(1_000);
    const changed = token.slice(0, -1) + (token.endsWith("A") ? "B" : "A");
    const mixed = token.slice(0, 27) + other.slice(27);
    const refused = [changed, mixed, other, expiring, "", "x", token.toUpperCase(), `${token}x`, "castellan__"];
    const messages = await Promise.all(
      refused.map((text) =>
        authentication.callerOf(asking(text, "x-api-key")).then(
          () => "accepted",
          (error: Error) => `${error.name} ${error.message}`,
        ),
      ),
    );
    expect(new Set(messages).size).toBe(1);
    expect(messages[0]).toContain("no valid token");
    expect(await authentication.callerOf(asking(token))).toBeDefined();
  });

  it("follows what another process writes within a second", async () => {
    const { store, clock, authentication } = scene();
    const other = new TokenStore(store.path, { clock });
    const { token, info } = await other.create();
    expect(await authentication.callerOf(asking(token))).toBeDefined();
    await other.revoke(info.id);
    await clock.advance(999);
    expect(await authentication.callerOf(asking(token))).toBeDefined();
    await clock.advance(1);
    await expect(authentication.callerOf(asking(token))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("asks the application first, and then the tokens", async () => {
    const ann: Caller = { id: "ann", scopes: new Set(["read"]) };
    const { store, authentication } = scene(({ headers }) => (headers.get("x-user") === "ann" ? ann : undefined));
    const { token, info } = await store.create();
    expect(await authentication.callerOf(new Request("http://localhost/", { headers: { "x-user": "ann" } }))).toEqual(
      ann,
    );
    expect(await authentication.callerOf(asking(token))).toMatchObject({ id: `token:${info.id}` });
  });

  it("gives the application no body to consume", async () => {
    const bodies: unknown[] = [];
    const { authentication } = scene((request) => {
      bodies.push(request.body);
      return { id: "ann", scopes: new Set() };
    });
    const request = new Request("http://localhost/", { method: "POST", body: "prompt" });
    await authentication.callerOf(request);
    expect(bodies).toEqual([null]);
    expect(await request.text()).toBe("prompt");
  });

  it.each([
    [{ id: "", scopes: new Set(["read"]) }],
    [{ id: "ann", scopes: ["read"] }],
    [{ id: "ann", scopes: new Set(["all"]) }],
    [{ id: "ann", scopes: new Set(["read"]), prefx: "support" }],
    [{ id: "ann", scopes: new Set(["read"]), prefix: [] }],
  ])("denies a caller that the application made wrong: %j", async (caller) => {
    const { authentication } = scene(() => caller as unknown as Caller);
    await expect(authentication.callerOf(new Request("http://localhost/"))).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
    });
  });
});
