import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { RequestServerOptions } from "../../src/cluster/http/http-server.ts";
import { httpTransport } from "../../src/cluster/http/http-transport.ts";
import { at, CALL, SECRET, signedRequest, TURN } from "../cluster/http-scene.ts";
import type { PeerMemory } from "../cluster/peer-host.ts";

/*
 * Peers that do what no node does, against a server in a process of its own. What they cost is what the process holds
 * after a garbage collection, more than before.
 */

const HOST = fileURLToPath(new URL("../cluster/peer-host.ts", import.meta.url));
const MB = 1024 ** 2;
const TURN_PATH = "/castellan/v1/turn";

/** A server in a process of its own, and peers that connect to it. */
class Victim implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #sockets: Socket[] = [];
  readonly #before: PeerMemory;

  private constructor(process: ChildProcess, port: number, before: PeerMemory) {
    this.#process = process;
    this.port = port;
    this.#before = before;
  }

  static async start(limits: Partial<RequestServerOptions>): Promise<Victim> {
    const child = fork(HOST, [JSON.stringify(limits)], { execArgv: ["--expose-gc"] });
    const [port] = (await once(child, "message")) as [number];
    const transport = httpTransport({
      secret: SECRET,
      clock: systemClock,
      newId: () => randomBytes(9).toString("hex"),
    });
    // Warms it up, so that what only the first request needs counts as before.
    for (let calls = 0; calls < 50; calls++) await transport.call(at(port), CALL, new AbortController().signal);
    await transport.close();
    const victim = new Victim(child, port, await measured(child));
    onTestFinished(() => victim[Symbol.asyncDispose]());
    return victim;
  }

  /** Returns the memory that it holds more than before, in bytes. */
  async cost(): Promise<number> {
    const { heapBytes, externalBytes } = await this.memory();
    return heapBytes + externalBytes - this.#before.heapBytes - this.#before.externalBytes;
  }

  memory(): Promise<PeerMemory> {
    return measured(this.#process);
  }

  async peer(text: string | Uint8Array = ""): Promise<Socket> {
    const socket = connect(this.port, "127.0.0.1");
    socket.on("error", () => {});
    this.#sockets.push(socket);
    await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), closed(socket)]);
    if (text.length > 0) socket.write(text);
    return socket;
  }

  async peers(count: number, text: (number: number) => string | Uint8Array): Promise<Socket[]> {
    const all: Socket[] = [];
    for (let number = 0; number < count; number++) all.push(await this.peer(text(number)));
    return all;
  }

  /** Calls it as a node does. */
  async call(): Promise<unknown> {
    const transport = httpTransport({
      secret: SECRET,
      clock: systemClock,
      newId: () => randomBytes(9).toString("hex"),
    });
    onTestFinished(() => transport.close());
    return await transport.call(at(this.port), CALL, new AbortController().signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#process.kill("SIGKILL");
  }
}

async function measured(child: ChildProcess): Promise<PeerMemory> {
  child.send("measure");
  const [memory] = (await once(child, "message")) as [PeerMemory];
  return memory;
}

/** Returns a signed request as it is sent. */
function written(body: string, changes: Parameters<typeof signedRequest>[1] = {}, length = body.length): string {
  const headers = { ...signedRequest(body, changes).headers, host: "x", "content-length": String(length) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${changes.path ?? TURN_PATH} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** Resolves once the connection has ended in any way. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Writes as much as the other side takes. */
function flood(socket: Socket, piece: Uint8Array | string): void {
  const send = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on("drain", send);
  send();
}

const ANSWER = { type: "answer", value: null };

test("2,000 connections that never ask cost little, and a node is answered meanwhile", async () => {
  const victim = await Victim.start({ headMs: 60_000 });
  const head = `POST ${TURN_PATH} HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(8_000)}`;
  await victim.peers(2_000, () => head);
  expect(await victim.call()).toEqual(ANSWER);
  expect(await victim.cost()).toBeLessThan(40 * MB);
});

test("endless headers and garbage end the connection, and cost nothing afterwards", async () => {
  const victim = await Victim.start({});
  const ends: Promise<void>[] = [];
  for (let number = 0; number < 100; number++) {
    const socket = await victim.peer(number % 2 === 0 ? `POST ${TURN_PATH} HTTP/1.1\r\n` : randomBytes(64));
    ends.push(closed(socket));
    flood(socket, number % 2 === 0 ? `x-${number}: ${"y".repeat(1_000)}\r\n` : randomBytes(4_096));
  }
  await Promise.all(ends);
  expect(await victim.call()).toEqual(ANSWER);
  expect(await victim.cost()).toBeLessThan(10 * MB);
});

test("bodies that do not end share one limit, and a node is answered meanwhile", async () => {
  const victim = await Victim.start({ maxRequestBytes: 64 * MB, maxUnreadBytes: 80 * MB });
  const refused: Promise<string>[] = [];
  for (let number = 0; number < 20; number++) {
    const socket = await victim.peer(written("", {}, 60 * MB));
    refused.push(firstWords(socket));
    // All but its last byte.
    let left = 60 * MB - 1;
    const piece = Buffer.alloc(MB);
    const send = (): void => {
      while (left > 0 && !socket.destroyed) {
        const part = piece.subarray(0, Math.min(left, piece.length));
        left -= part.length;
        if (!socket.write(part)) return;
      }
    };
    socket.on("drain", send);
    send();
  }
  expect(await Promise.race(refused)).toMatch(/503 Service Unavailable.*"reason":"busy","limit":83886080/s);
  expect(await victim.call()).toEqual(ANSWER);
  expect(await victim.cost()).toBeLessThan(120 * MB);
});

test("readers that stop reading cost one line each, and lose their connection", async () => {
  const victim = await Victim.start({ pingMs: 200, stallMs: 5_000 });
  const body = JSON.stringify(TURN);
  const sockets = await victim.peers(200, () => written(body));
  for (const socket of sockets) socket.pause();
  await expect.poll(async () => (await victim.memory()).begun, { timeout: 60_000 }).toBe(200);
  // The line in the stream, and what the socket takes at once.
  expect(await victim.cost()).toBeLessThan(200 * 0.4 * MB);
  await expect.poll(async () => (await victim.memory()).ended, { timeout: 60_000 }).toBe(200);
  expect(await victim.call()).toEqual(ANSWER);
  expect(await victim.cost()).toBeLessThan(20 * MB);
});

test("20,000 replays of a request are refused, and nothing is remembered of them", async () => {
  const victim = await Victim.start({});
  const path = "/castellan/v1/call";
  const request = written(JSON.stringify(CALL), { path });
  const { calls } = await victim.memory();
  const socket = await victim.peer();
  let refused = 0;
  socket.on("data", (data: Buffer) => {
    refused += data.toString().split('"reason":"replayed"').length - 1;
  });
  for (let number = 0; number <= 20_000; number++) if (!socket.write(request)) await once(socket, "drain");
  await expect.poll(() => refused, { timeout: 60_000 }).toBe(20_000);
  expect((await victim.memory()).calls).toBe(calls + 1);
  expect(await victim.cost()).toBeLessThan(10 * MB);
});

test("requests one after the other on one connection, whose answers nobody reads, are not all begun", async () => {
  const victim = await Victim.start({ pingMs: 60_000 });
  const body = JSON.stringify(TURN);
  const socket = await victim.peer();
  socket.pause();
  for (let number = 0; number < 3_000; number++) socket.write(written(body));
  await expect.poll(async () => (await victim.memory()).begun, { timeout: 60_000 }).toBeGreaterThan(10);
  expect(await victim.call()).toEqual(ANSWER);
  expect((await victim.memory()).begun).toBeLessThan(300);
  expect(await victim.cost()).toBeLessThan(60 * MB);
});

async function firstWords(socket: Socket): Promise<string> {
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString();
}
