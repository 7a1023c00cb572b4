import { once } from "node:events";
import { stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ListeningServer, listen } from "../../src/server/listen.ts";
import type { ListenOptions } from "../../src/server/server-options.ts";
import { RawConnection } from "./raw-connection.ts";
import { ServerScene } from "./scene.ts";

let scene: ServerScene;
const open: ListeningServer[] = [];

beforeAll(async () => {
  scene = await ServerScene.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close({ deadline: 0 })));
});

afterAll(() => scene[Symbol.asyncDispose]());

async function serve(options: ListenOptions = {}): Promise<ListeningServer> {
  const server = await listen(scene.supervisor, { tokens: join(scene.folder, "no-tokens.jsonl"), ...options });
  open.push(server);
  return server;
}

/** Asks over a unix socket. */
async function statusOn(socketPath: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asking = request({ socketPath, path, headers: { host: "localhost" } }, (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  asking.once("error", reject);
  asking.end();
  return await promise;
}

function invalid(field: string): object {
  return { code: "INVALID_OPTIONS", details: { problems: [expect.objectContaining({ field })] } };
}

describe("listen", () => {
  it("takes a free loopback port, and needs no token there until one exists", async () => {
    const server = await serve();
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(server.needsToken).toBe(false);
    expect((await fetch(`${server.url}/castellan/v1/none`)).status).toBe(404);

    const { token, info } = await scene.tokens.create();
    const guarded = await serve({ tokens: scene.tokens });
    expect(guarded.needsToken).toBe(true);
    expect((await fetch(`${guarded.url}/castellan/v1/none`)).status).toBe(401);
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${guarded.url}/castellan/v1/none`, { headers })).status).toBe(404);

    // The last token is revoked: the server stays closed, and so does the next one.
    await scene.tokens.revoke(info.id);
    expect((await serve({ tokens: scene.tokens })).needsToken).toBe(true);
  });

  it("refuses a page that rebinds its name to the loopback interface", async () => {
    const { url } = await serve();
    const { port } = new URL(url);
    const answer = await RawConnection.exchange(
      url,
      `GET /castellan/v1/none HTTP/1.1\r\nhost: evil.example:${port}\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain("BAD_HOST");
  });

  it.each(["0.0.0.0", "::"])("refuses to listen on %s without tokens, and does with one", async (host) => {
    await expect(serve({ host })).rejects.toMatchObject(invalid("host"));
    await expect(serve({ host, tokens: false })).rejects.toMatchObject(invalid("host"));
    const { info } = await scene.tokens.create();
    scene.lines.length = 0;
    const server = await serve({ host, tokens: scene.tokens, logger: scene.logger });
    expect(server.needsToken).toBe(true);
    expect(scene.lines).toEqual([expect.stringContaining("without TLS")]);
    const { port } = new URL(server.url);
    expect((await fetch(`http://127.0.0.1:${port}/castellan/v1/none`)).status).toBe(401);
    await scene.tokens.revoke(info.id);
    // All tokens are revoked, so nobody could use it.
    await expect(serve({ host, tokens: scene.tokens })).rejects.toMatchObject(invalid("host"));
  });

  it("listens anywhere with the application's own authentication", async () => {
    const server = await serve({ host: "0.0.0.0", authenticate: () => ({ id: "ann", scopes: new Set(["read"]) }) });
    const { port } = new URL(server.url);
    expect((await fetch(`http://127.0.0.1:${port}/castellan/v1/none`)).status).toBe(404);
  });

  it("names the field of an address that cannot be used", async () => {
    const { url } = await serve();
    await expect(serve({ port: Number(new URL(url).port) })).rejects.toMatchObject(invalid("port"));
    await expect(serve({ host: "127.0.0.1.invalid", tokens: scene.tokens })).rejects.toMatchObject(invalid("host"));
    await expect(serve({ port: 70_000 })).rejects.toMatchObject(invalid("port"));
    await expect(serve({ tls: { cert: "/none.pem", key: "/none.pem" } })).rejects.toMatchObject(invalid("tls.cert"));
    const noPem = join(scene.folder, "no.pem");
    await writeFile(noPem, "no certificate");
    await expect(serve({ tls: { cert: noPem, key: noPem } })).rejects.toMatchObject(invalid("tls"));
    await expect(serve({ socket: join(scene.folder, "none", "x.sock") })).rejects.toMatchObject(invalid("socket"));
  });

  it("opens a socket that only its user can open, which needs no token", async () => {
    await scene.tokens.create();
    const socket = join(scene.folder, "server.sock");
    const server = await serve({ tokens: scene.tokens, socket });
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect(await statusOn(socket, "/castellan/v1/none")).toBe(404);
    await expect(serve({ socket })).rejects.toMatchObject(invalid("socket"));
    expect(await statusOn(socket, "/castellan/v1/none")).toBe(404);
    await server.close();
    await expect(stat(socket)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("replaces the socket of a server that was killed", async () => {
    const socket = join(scene.folder, "dead.sock");
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(socket, resolve));
    // As a killed process leaves it: the file without a listener.
    const { rename } = await import("node:fs/promises");
    await rename(socket, `${socket}.kept`);
    await new Promise((resolve) => dead.close(resolve));
    await rename(`${socket}.kept`, socket);
    await serve({ socket });
    expect(await statusOn(socket, "/livez")).toBe(200);
  });

  it.each([
    ["no HTTP", "hello\r\n\r\n", 400],
    ["HTTP/2 without an upgrade", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["an unknown version", "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n", 400],
    ["no host", "GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n", 400],
    ["two lengths", "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400],
    [
      "a length besides chunks",
      "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    [
      "a malformed chunk",
      "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
      400,
    ],
    ["too large a head", `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"x".repeat(40_000)}\r\n\r\n`, 431],
    ["an unknown method", "BREW / HTTP/1.1\r\nhost: localhost\r\n\r\n", 400],
  ])("answers %s with a status, and closes the connection", async (_, bytes, status) => {
    const { url } = await serve();
    const answer = await RawConnection.exchange(url, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  it("answers a method that a path does not take", async () => {
    const { url } = await serve();
    const answer = await RawConnection.exchange(
      url,
      "DELETE /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 405 /);
    expect(answer).toMatch(/^allow: GET\r$/im);
  });

  it("refuses a body that is too large before it has arrived", async () => {
    const { url } = await serve({ maxBodySize: 1_000 });
    using connection = await RawConnection.to(url);
    connection.write("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999\r\n\r\nx");
    await connection.until("REQUEST_TOO_LARGE");
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("refuses chunks beyond the limit while they arrive", async () => {
    const { url } = await serve({ maxBodySize: 1_000 });
    using connection = await RawConnection.to(url);
    connection.write("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let n = 0; n < 20; n++) connection.write(`64\r\n${"x".repeat(100)}\r\n`);
    await connection.until("REQUEST_TOO_LARGE");
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("closes further connections than it may have", async () => {
    const { url } = await serve({ maxConnections: 2 });
    using first = await RawConnection.to(url);
    using _second = await RawConnection.to(url);
    first.write("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await first.until("200 OK");
    using third = await RawConnection.to(url);
    expect(await third.closed).toBe("");
  });

  it("closes at once without open requests, and twice", async () => {
    const server = await serve();
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    await Promise.all([server.close(), server.close()]);
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow();
  });

  it.each(["a listener of its own", "a socket"])(
    "closes without waiting for a connection that has sent nothing, on %s",
    async (on) => {
      const socket = join(scene.folder, "silent.sock");
      const server = await serve(on === "a socket" ? { socket } : {});
      const silent = on === "a socket" ? connect(socket) : connect(Number(new URL(server.url).port), "127.0.0.1");
      await once(silent, "connect");
      const gone = once(silent, "close");
      // The server knows of it once it has answered a later connection.
      expect(on === "a socket" ? await statusOn(socket, "/livez") : (await fetch(`${server.url}/livez`)).status).toBe(
        200,
      );
      const since = performance.now();
      await Promise.all([server.close({ deadline: "1m" }), gone]);
      expect(performance.now() - since).toBeLessThan(5_000);
    },
  );

  it("breaks what is open at the deadline of a close", async () => {
    const server = await serve();
    using connection = await RawConnection.to(server.url);
    connection.write("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n");
    await connection.until("HTTP/1.1");
    await server.close({ deadline: 10 });
    await connection.closed;
  });

  it("goes on answering when it drains, and asks clients to close their connections", async () => {
    const server = await serve();
    server.drain();
    server.drain();
    const response = await fetch(`${server.url}/livez`);
    expect(response.status).toBe(200);
    expect(response.headers.get("connection")).toBe("close");
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
  });
});
