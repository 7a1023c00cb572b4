import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.ts";
import type { RequestHandler } from "../../src/cluster/protocol/transport.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { ahead, at, BOOT, CALL, HttpScene, signedRequest, TURN } from "./http-scene.ts";

const never = new AbortController().signal;
const OTHER = "another secret that only tests know of";
const TURN_PATH = "/castellan/v1/turn";
const BODY = JSON.stringify(TURN);

/** A handler that records calls that must not happen. */
function untouched(): Partial<RequestHandler> & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async *turn() {
      asked.push("turn");
      yield { type: "unknown" };
    },
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function ask(port: number, init: RequestInit, path: string = TURN_PATH): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

interface Stranger {
  readonly socket: Socket;
  /** Resolves when the connection has closed in any way. */
  readonly closed: Promise<void>;
  said(): string;
}

/** Opens a raw connection and sends arbitrary text. */
async function stranger(port: number, text: string): Promise<Stranger> {
  const socket = connect(port, "127.0.0.1");
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  let said = "";
  socket.on("data", (data) => {
    said += data;
  });
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(text);
  return { socket, closed, said: () => said };
}

describe("a sender without the secret", () => {
  it.each([
    ["no signature", { method: "POST", body: BODY }],
    ["a signature with another secret", signedRequest(BODY, { secret: OTHER })],
    ["another secret and another run", signedRequest(BODY, { secret: OTHER, to: "nobody" })],
    ["another secret and an old clock", signedRequest(BODY, { secret: OTHER, at: "1" })],
    ["another secret and another protocol", signedRequest(BODY, { secret: OTHER, protocol: "99" })],
    ["another secret and no JSON", signedRequest("{", { secret: OTHER })],
    ["another secret and too much", signedRequest("x".repeat(20_000), { secret: OTHER })],
  ])("gets the same refusal for every request: %s", async (_, request) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler, { maxRequestBytes: 10_000 });
    const { status, text, headers } = await ask(port, request);
    expect([status, text]).toEqual([401, '{"reason":"unauthentic","problem":"signature"}']);
    // A seal over a chosen nonce would let the sender try secrets offline.
    expect(headers.get("castellan-seal")).toBeNull();
    expect(handler.asked).toEqual([]);
  });

  it("learns neither release, protocols nor run", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    const answers = await Promise.all([
      ask(port, {}, "/castellan/v1/live"),
      ask(port, {}, "/"),
      ask(port, { method: "PUT" }),
      ask(port, { method: "POST" }),
    ]);
    const said = answers.map(({ text, headers }) => `${text} ${JSON.stringify([...headers])}`).join("\n");
    for (const secret of ["1.2.3", "protocol", BOOT, "node/", "hono"]) expect(said.toLowerCase()).not.toContain(secret);
  });

  it("is not read any further once it is refused", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    const { socket, closed, said } = await stranger(
      port,
      `POST ${TURN_PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const piece = `10000\r\n${"a".repeat(65_536)}\r\n`;
    const send = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on("drain", send);
    send();
    await closed;
    expect(said()).toContain("401 Unauthorized");
  });

  it.each([
    ["nothing at all", ""],
    ["half a head", `POST ${TURN_PATH} HTTP/1.1\r\nHost: x\r\n`],
    ["a head a line at a time", "GET /"],
  ])("loses its connection after the head timeout when it sends %s", async (_, text) => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { headMs: 300 });
    const { socket, closed } = await stranger(port, text);
    const drip = setInterval(() => socket.write("x"), 50);
    await closed;
    clearInterval(drip);
  });

  it("cannot exhaust the connections of nodes", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { maxOpen: 4 });
    const transport = scene.transport();
    await transport.call(at(port), CALL, never);
    const many = await Promise.all(Array.from({ length: 40 }, () => stranger(port, "")));
    await Promise.race(many.map(({ closed }) => closed));
    // On the connection that it already has.
    expect(await transport.call(at(port), CALL, never)).toEqual({ type: "answer", value: null });
    for (const { socket } of many) socket.destroy();
  });
});

describe("a recorded request", () => {
  it.each([
    ["the same node", BOOT, "replayed"],
    ["another node, or another run", "boot-of-another", "elsewhere"],
  ])("is refused when it is replayed to %s", async (_, boot, reason) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const [first, second] = [await scene.serve(handler), await scene.serve(handler, { boot: () => boot })];
    const request = signedRequest(BODY);
    expect((await ask(first.port, request)).status).toBe(200);
    const again = await ask(boot === BOOT ? first.port : second.port, request);
    expect(JSON.parse(again.text)).toMatchObject({ reason });
    expect(handler.asked).toEqual(["turn"]);
  });

  it("is refused when it is replayed after the node's clock was set back", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const time = new SimulatedClock();
    let setBy = 0;
    const start = time.now();
    const clock: Clock = { ...clockOf(time), now: () => time.now() + setBy };
    const { port } = await scene.serve(handler, { clock });
    const signedAt = (ms: number): RequestInit => signedRequest(BODY, { at: String(start + ms) });
    const heard = signedAt(0);
    expect((await ask(port, heard)).status).toBe(200);
    await time.advance(300_000);
    expect(JSON.parse((await ask(port, heard)).text)).toMatchObject({ reason: "skewed" });
    await time.advance(300_000);
    expect((await ask(port, signedAt(600_000))).status).toBe(200);
    setBy = -600_000;
    const again = JSON.parse((await ask(port, heard)).text);
    expect(again).toMatchObject({ reason: "replayed", problem: expect.stringContaining("has been set back") });
    expect(handler.asked).toEqual(["turn", "turn"]);
    // A request signed after all earlier ones is accepted by either clock.
    setBy = 0;
    expect((await ask(port, signedAt(600_001))).status).toBe(200);
  });

  it.each([600_000, -600_000])("reveals the difference of the clocks only if it is signed: %d ms", async (ms) => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { clock: ahead(ms) });
    const signed = JSON.parse((await ask(port, signedRequest(BODY))).text);
    expect(signed).toMatchObject({ reason: "skewed", limit: 30_000 });
    expect(Math.abs(signed.aheadMs + ms)).toBeLessThan(30_000);
    const strange = await ask(port, signedRequest(BODY, { secret: OTHER }));
    expect(strange.text).not.toContain("aheadMs");
  });

  it("is refused when its body was cut or extended", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    for (const body of [BODY.slice(0, -1), `${BODY} `, ""]) {
      const { status, text } = await ask(port, { ...signedRequest(BODY), body });
      expect([status, JSON.parse(text).reason]).toEqual([401, "unauthentic"]);
    }
    expect(handler.asked).toEqual([]);
  });
});

describe("a malformed request with the right secret", () => {
  it.each([
    ["a key that is no JSON", { key: "nonsense" }],
    ["a key that is no name", { key: '[""]' }],
    ["another text for a name", { key: '[ "global", "a" ]' }],
    ["a key of numbers", { key: "[1]" }],
    ["a name that is too long", { key: JSON.stringify(["global", "x".repeat(1_000)]) }],
    ["a time below nothing", { ask: { prompt: "", idempotencyKey: "k", timeoutMs: -1 } }],
    ["a number below nothing", { after: { boot: "b", number: -1 } }],
  ])("is refused as malformed: %s", async (_, changes) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const failures: unknown[] = [];
    const { port } = await scene.serve(handler, { failed: (error) => failures.push(error) });
    const { status, text } = await ask(port, signedRequest(JSON.stringify({ ...TURN, ...changes })));
    expect([status, JSON.parse(text).reason]).toEqual([400, "malformed"]);
    expect([handler.asked, failures]).toEqual([[], []]);
  });

  it.each([
    [
      "prototype keys",
      BODY.replace("{", '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},'),
    ],
    ["200,000 arrays in each other", BODY.replace("}", `,"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`)],
  ])("does no harm by %s", async (_, body) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    expect((await ask(port, signedRequest(body))).status).toBe(200);
    expect(handler.asked).toEqual(["turn"]);
    expect("polluted" in {}).toBe(false);
  });
});

describe("an impostor of a node", () => {
  it.each([200, 401, 503])("cannot hold up a caller with a slow body after status %d", async (status) => {
    await using scene = new HttpScene();
    const port = await scene.serveForeign((_, response) => {
      response.writeHead(status);
      const drip = setInterval(() => response.write(" "), 20);
      response.once("close", () => clearInterval(drip));
    });
    const call = scene.transport({ silenceMs: 300 }).call(at(port), CALL, never);
    await expect(call).rejects.toThrow(/is not a node of this cluster|no sign of life for 300ms/);
  });
});

function clockOf(time: SimulatedClock): Clock {
  return {
    now: () => time.now(),
    monotonic: () => time.monotonic(),
    schedule: (ms, callback) => time.schedule(ms, callback),
  };
}
