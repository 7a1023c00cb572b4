import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { type ListeningServer, listen } from "../../src/server/listen.ts";
import type { ListenOptions } from "../../src/server/server-options.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { RawConnection } from "../server/raw-connection.ts";
import { ServerScene } from "../server/scene.ts";

/* Many clients at once, and clients that misbehave, on real connections. */

const STREAMS = 1_000;
const PATH = "/castellan/v1/sessions/%22assistant%22/events/stream";
const REQUEST = `GET ${PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

async function served(scene: ServerScene, options: ListenOptions = {}): Promise<ListeningServer> {
  return await listen(scene.supervisor, { tokens: false, logger: scene.logger, ...options });
}

/** A client that counts what it receives, and keeps nothing. */
class CountingClient {
  readonly socket: Socket;
  received = 0;
  ended = 0;
  readonly #marker: string;
  #tail = "";
  #wake: (() => void) | undefined;

  constructor(socket: Socket, marker: string) {
    this.socket = socket;
    this.#marker = marker;
    socket.setEncoding("latin1").on("data", (text: string) => {
      this.received += text.length;
      const seen = this.#tail + text;
      this.ended += seen.split(this.#marker).length - 1;
      this.#tail = seen.slice(-this.#marker.length + 1);
      this.#wake?.();
    });
    socket.on("error", () => {});
  }

  async untilEnded(turns: number): Promise<void> {
    while (this.ended < turns) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function clients(url: string, count: number): Promise<CountingClient[]> {
  const port = Number(new URL(url).port);
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      const client = new CountingClient(socket, '"type":"turn_ended"');
      socket.write(REQUEST);
      while (client.received === 0) await once(socket, "data");
      return client;
    }),
  );
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heap(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed / 1024 ** 2;
}

test("a server with 1,000 streams keeps its memory flat, and frees it when they leave", async () => {
  await using scene = await ServerScene.start([{ name: "assistant" }]);
  await using server = await served(scene);
  const turn = (n: number) => scene.supervisor.query("assistant", `prompt ${n}`);
  await turn(0);
  const before = heap();
  const all = await clients(server.url, STREAMS);
  const open = heap();
  let turns = 0;
  const rounds: number[] = [];
  for (let round = 0; round < 4; round++) {
    for (let n = 0; n < 10; n++) await turn(++turns);
    await Promise.all(all.map((client) => client.untilEnded(turns)));
    rounds.push(heap());
  }
  // Each client got each turn once.
  expect(new Set(all.map(({ ended }) => ended))).toEqual(new Set([turns]));
  const growth = (rounds.at(-1) ?? 0) - (rounds[0] ?? 0);
  process.stdout.write(
    `heap: ${before.toFixed(1)} MB, with ${STREAMS} streams ${open.toFixed(1)} MB (${(((open - before) * 1024) / STREAMS).toFixed(1)} kB each), after each 10 turns ${rounds.map((mb) => mb.toFixed(1)).join(", ")} MB\n`,
  );
  // The events of 30 turns, in 1,000 buffers, would be above 100 MB.
  expect(growth).toBeLessThan(10);

  const closed = all.map(({ socket }) => once(socket, "close"));
  server.drain();
  await Promise.all(closed);
  await turn(++turns);
  await expect.poll(heap, { timeout: 20_000, interval: 500 }).toBeLessThan(before + 15);
}, 120_000);

test("a client that does not read is cut, and holds no more than its socket's buffer", async () => {
  const long = "x".repeat(60_000);
  const fake = fakeClaude(async (turn) => {
    for (let n = 0; n < 50; n++) await turn.text(`${n} ${long}`);
  });
  await using scene = await ServerScene.start([{ name: "assistant" }], {}, fake);
  await using server = await served(scene, { stall: "1s" });
  using connection = await RawConnection.to(server.url);
  connection.write(REQUEST);
  await connection.until("200 OK");
  connection.pause();
  // 12 MB, more than the kernel buffers.
  for (let n = 0; n < 4; n++) await scene.supervisor.query("assistant", `flood ${n}`);
  await expect
    .poll(() => scene.lines.filter((line) => line.includes("took nothing")).length, { timeout: 20_000 })
    .toBe(1);
  connection.resume();
  await connection.closed;
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);
}, 60_000);

test("a client that sends its request a byte at a time is cut after ten seconds", async () => {
  await using scene = await ServerScene.start();
  await using server = await served(scene);
  using head = await RawConnection.to(server.url);
  const since = performance.now();
  const dripping = setInterval(() => head.write("x"), 100);
  head.write("GET /livez HTTP/1.1\r\nx: ");
  const answer = await head.closed;
  clearInterval(dripping);
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  expect(performance.now() - since).toBeGreaterThan(9_000);
  expect(performance.now() - since).toBeLessThan(15_000);
}, 30_000);
