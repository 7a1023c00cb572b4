import { request } from "node:http";
import { setTimeout as after } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Refused } from "../../src/cluster/http/http-refusal.ts";
import { digestOf } from "../../src/cluster/http/signature.ts";
import type { CallRequest, TurnFrame, TurnRequest } from "../../src/cluster/protocol/frames.ts";
import { Unreachable } from "../../src/cluster/protocol/transport.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";
import { at, CALL, Channel, HttpScene, messagesFrame, signedRequest, TURN } from "./http-scene.ts";

const never = new AbortController().signal;

const FRAMES: readonly TurnFrame[] = [
  { type: "found", boot: "b", number: 0, recalled: false },
  { type: "accepted" },
  messagesFrame(0, "one"),
  messagesFrame(1, "two"),
  { type: "end", state: "completed", attempts: 1, touched: true, outcome: { text: "two" } },
];

/** Returns the `Unreachable` with which a promise rejects. */
async function unreachable(promise: Promise<unknown>): Promise<Unreachable> {
  const error: unknown = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (!(error instanceof Unreachable)) throw error;
  return error;
}

describe("httpTransport and serveRequests", () => {
  it("carry the request, and a turn's frames in order", async () => {
    await using scene = new HttpScene();
    const asked: TurnRequest[] = [];
    const { port } = await scene.serve({
      async *turn(request) {
        asked.push(request);
        yield* FRAMES;
      },
    });
    const request: TurnRequest = {
      ...TURN,
      ask: { prompt: "p", idempotencyKey: "k", timeoutMs: 5, whenBusy: "reject" },
      after: { boot: "b", number: 7 },
    };
    expect(await Array.fromAsync(scene.transport().turn(at(port), request, never))).toEqual(FRAMES);
    expect(asked).toEqual([request]);
  });

  it("deliver each frame at once", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) });
    const frames = scene.transport().turn(at(port), TURN, never)[Symbol.asyncIterator]();
    const first = frames.next();
    channel.push({ type: "accepted" });
    expect((await first).value).toEqual({ type: "accepted" });
    const delays: number[] = [];
    for (let number = 0; number < 20; number++) {
      const next = frames.next();
      await settle();
      const since = performance.now();
      channel.push(messagesFrame(number));
      expect((await next).value).toMatchObject({ number });
      delays.push(performance.now() - since);
    }
    expect(Math.min(...delays)).toBeLessThan(20);
  });

  it("carry consecutive calls on one connection", async () => {
    await using scene = new HttpScene();
    const asked: CallRequest[] = [];
    const { port } = await scene.serve({
      async call(request) {
        asked.push(request);
        return { type: "answer", value: asked.length };
      },
    });
    const wire = await scene.wire(port);
    const transport = scene.transport();
    for (let value = 1; value <= 10; value++) {
      expect(await transport.call(at(wire.port), CALL, never)).toEqual({ type: "answer", value });
    }
    expect(asked).toEqual(Array(10).fill(CALL));
    expect(wire.connections()).toBeLessThanOrEqual(2);
  });

  it("carry events of any kind until the session ends", async () => {
    await using scene = new HttpScene();
    const events = [{ type: "over" }, { type: "ping" }, null, "text"].map(
      (event) => ({ type: "event", event }) as const,
    );
    const { port } = await scene.serve({
      async *events(request) {
        yield { type: "event", event: request };
        yield* events;
        yield { type: "not_owner", owner: { boot: "two", address: "http://127.0.0.1:2" } };
      },
    });
    const request = { key: '"key"', options: { after: 3, types: ["text" as const], turn: "t", live: false } };
    expect(await Array.fromAsync(scene.transport().events(at(port), request, never))).toEqual([
      { type: "event", event: request },
      ...events,
      { type: "not_owner", owner: { boot: "two", address: "http://127.0.0.1:2" } },
    ]);
  });

  it("carry any text unchanged, also 5 MB", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({
      async *turn({ ask }) {
        yield messagesFrame(0, ask?.prompt);
      },
    });
    const prompt = `\u2028\u0000\ud800 half \udc00\uFEFF\r\n"\\${"lorem ipsum é ".repeat(350_000)}`;
    const ask = { prompt, idempotencyKey: "k" };
    const frames = await Array.fromAsync(scene.transport().turn(at(port), { ...TURN, ask }, never));
    expect(JSON.stringify(frames) === JSON.stringify([messagesFrame(0, prompt)])).toBe(true);
  });

  it("carry 200 turns at once", async () => {
    await using scene = new HttpScene();
    const everybody = Promise.withResolvers<void>();
    let there = 0;
    const { port } = await scene.serve({
      async *turn({ turnId }) {
        if (++there === 200) everybody.resolve();
        await everybody.promise;
        yield* FRAMES;
        yield { type: "found", boot: turnId, number: 0, recalled: true };
      },
    });
    const transport = scene.transport();
    const ids = Array.from({ length: 200 }, (_, number) => `turn-${number}`);
    const all = await Promise.all(
      ids.map((turnId) => Array.fromAsync(transport.turn(at(port), { ...TURN, turnId }, never))),
    );
    expect(all.map((frames) => frames.at(-1))).toEqual(
      ids.map((boot) => ({ type: "found", boot, number: 0, recalled: true })),
    );
  });

  it("answer /live without a signature, and nothing else", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    const live = await fetch(`http://127.0.0.1:${port}/castellan/v1/live`);
    expect([live.status, await live.json()]).toEqual([200, { live: true }]);
    expect((await fetch(`http://127.0.0.1:${port}/castellan/v1/turn`)).status).toBe(404);
  });
});

describe("a reader of a remote turn", () => {
  it("ends the handler within 50 ms when it aborts", async () => {
    await using scene = new HttpScene();
    let [gone, channel] = [Promise.withResolvers<void>(), new Channel<TurnFrame>()];
    const { port } = await scene.serve({
      turn: (_, signal) => {
        signal.addEventListener("abort", () => gone.resolve());
        return channel.read(signal);
      },
    });
    const transport = scene.transport();
    const delays: number[] = [];
    for (let reader = 0; reader < 5; reader++) {
      [gone, channel] = [Promise.withResolvers<void>(), new Channel<TurnFrame>()];
      const abort = new AbortController();
      const frames = transport.turn(at(port), TURN, abort.signal)[Symbol.asyncIterator]();
      channel.push({ type: "accepted" });
      await frames.next();
      const next = frames.next();
      const since = performance.now();
      const reason = new Error("enough");
      abort.abort(reason);
      await expect(next).rejects.toBe(reason);
      await Promise.all([gone.promise, channel.left.promise]);
      delays.push(performance.now() - since);
    }
    // The best of five, since the machine may be busy.
    expect(Math.min(...delays)).toBeLessThan(50);
  });

  it("ends the handler when it leaves the loop", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) });
    channel.push(...FRAMES);
    for await (const frame of scene.transport().turn(at(port), TURN, never)) if (frame.type === "messages") break;
    await channel.left.promise;
  });

  it("rejects with its abort reason before anything is sent", async () => {
    await using scene = new HttpScene();
    const transport = scene.transport();
    const reason = new Error("changed my mind");
    await expect(transport.call(at(1), CALL, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("applies backpressure to the node when it does not read", async () => {
    await using scene = new HttpScene();
    const text = "x".repeat(2_000);
    const left = Promise.withResolvers<void>();
    const stalled = Promise.withResolvers<void>();
    let given = 0;
    let watch: NodeJS.Timeout | undefined;
    const { port } = await scene.serve({
      async *turn() {
        try {
          for (; given < 200_000; given++) {
            clearTimeout(watch);
            watch = setTimeout(stalled.resolve, 150);
            yield messagesFrame(given, text);
          }
        } finally {
          clearTimeout(watch);
          left.resolve();
        }
      },
    });
    const frames = scene.transport().turn(at(port), TURN, never)[Symbol.asyncIterator]();
    await frames.next();
    await Promise.race([stalled.promise, left.promise]);
    // 400 MB in all, of which the operating system buffers a few.
    expect(given).toBeLessThan(20_000);
    const numbers: unknown[] = [];
    for (let number = 1; number <= 1_000; number++) numbers.push((await frames.next()).value.number);
    expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
    await frames.return?.();
    await left.promise;
  });
});

describe("a connection between nodes", () => {
  it("rejects with Unreachable when it is cut", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_request, signal) => channel.read(signal) });
    const wire = await scene.wire(port);
    const frames = scene.transport().turn(at(wire.port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const next = frames.next();
    wire.cut();
    const error = await unreachable(next);
    expect(error).toMatchObject({ unsent: false, message: expect.stringContaining("the connection broke") });
    await channel.left.promise;
  });

  it("rejects with Unreachable when the node closes", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const server = await scene.serve({ turn: (_, signal) => channel.read(signal) });
    const frames = scene.transport().turn(at(server.port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const next = frames.next();
    const closed = server.close();
    expect((await unreachable(next)).unsent).toBe(false);
    await Promise.all([closed, channel.left.promise]);
  });

  it("rejects with Unreachable after 6 s of silence", async () => {
    await using scene = new HttpScene();
    const [ours, theirs] = [new SimulatedClock(), new SimulatedClock()];
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) }, { clock: theirs });
    const frames = scene.transport({ clock: ours }).turn(at(port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const next = unreachable(frames.next());
    await ours.advance(6_000);
    expect(await next).toMatchObject({ unsent: false, message: expect.stringContaining("no sign of life for 6s") });
    await channel.left.promise;
    expect([ours.timers, theirs.timers]).toEqual([0, 0]);
  });

  it("rejects with Unreachable when a request gets no answer at all", async () => {
    await using scene = new HttpScene();
    const clock = new SimulatedClock();
    const got = Promise.withResolvers<void>();
    const port = await scene.serveForeign(() => got.resolve());
    const call = unreachable(scene.transport({ clock }).call(at(port), CALL, never));
    await got.promise;
    await clock.advance(6_000);
    expect((await call).unsent).toBe(false);
  });

  it("rejects with Unreachable when the handler throws, which the node reports", async () => {
    await using scene = new HttpScene();
    const failures: unknown[] = [];
    const defect = new Error("a defect");
    const { port } = await scene.serve(
      {
        async *turn() {
          yield { type: "accepted" };
          throw defect;
        },
        call: () => Promise.reject(defect),
        events: () => {
          throw defect;
        },
      },
      { failed: (error) => failures.push(error) },
    );
    const transport = scene.transport();
    expect((await unreachable(Array.fromAsync(transport.turn(at(port), TURN, never)))).unsent).toBe(false);
    expect((await unreachable(transport.call(at(port), CALL, never))).unsent).toBe(false);
    expect(
      (await unreachable(Array.fromAsync(transport.events(at(port), { key: '"key"', options: {} }, never)))).unsent,
    ).toBe(false);
    expect(failures).toEqual([defect, defect, defect]);
  });

  it("rejects with Unreachable when a proxy ends the answer early", async () => {
    await using scene = new HttpScene();
    const port = await scene.serveRaw((response) => void response.end('{"type":"accepted"}\n'));
    const error = await unreachable(Array.fromAsync(scene.transport().turn(at(port), TURN, never)));
    expect(error.message).toContain("ended before it was complete");
  });

  it("rejects with Unreachable when its own transport closes", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) });
    const transport = scene.transport();
    const frames = transport.turn(at(port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const next = unreachable(frames.next());
    await transport.close();
    expect((await next).unsent).toBe(false);
    expect((await unreachable(transport.call(at(port), CALL, never))).unsent).toBe(true);
    await channel.left.promise;
  });

  it("stays open while the node sends pings", async () => {
    await using scene = new HttpScene();
    const port = await scene.serveRaw(async (response) => {
      for (let ping = 0; ping < 8; ping++) {
        response.write("\n");
        await after(100);
      }
      response.end('{"type":"accepted"}\n{"type":"over"}\n');
    });
    const transport = scene.transport({ silenceMs: 500 });
    expect(await Array.fromAsync(transport.turn(at(port), TURN, never))).toEqual([{ type: "accepted" }]);
  });

  it("carries a ping of the node every two seconds", async () => {
    await using scene = new HttpScene();
    const clock = new SimulatedClock();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) }, { clock });
    const request = signedRequest(JSON.stringify(TURN), { at: "0" });
    const response = await fetch(`http://127.0.0.1:${port}/castellan/v1/turn`, request);
    const reader = response.body?.getReader();
    for (let ping = 0; ping < 3; ping++) {
      const read = reader?.read();
      await clock.advance(2_000);
      expect(Buffer.from((await read)?.value ?? []).toString()).toBe("\n");
    }
    await reader?.cancel();
    await channel.left.promise;
    expect(clock.timers).toBe(0);
  });
});

describe("httpTransport rejects as unsent", () => {
  it("when no server listens", async () => {
    await using scene = new HttpScene();
    const server = await scene.serve({});
    await server.close();
    const error = await unreachable(scene.transport().call(at(server.port), CALL, never));
    expect(error).toMatchObject({ unsent: true, message: expect.stringContaining("ECONNREFUSED") });
  });

  it("when the name of the node is not found", async () => {
    await using scene = new HttpScene();
    const to = at(0, { address: "http://nobody.invalid:7700" });
    expect((await unreachable(scene.transport().call(to, CALL, never))).unsent).toBe(true);
  });

  it("when the address is invalid", async () => {
    await using scene = new HttpScene();
    expect((await unreachable(scene.transport().call(at(0, { address: "::" }), CALL, never))).unsent).toBe(true);
  });

  it("when the connection takes longer than 2 s", async () => {
    await using scene = new HttpScene();
    const clock = new SimulatedClock();
    // The server never answers the TLS handshake, which precedes the request.
    const to = at(0, { address: `https://127.0.0.1:${await scene.serveSilent()}` });
    const call = unreachable(scene.transport({ clock }).call(to, CALL, never));
    await clock.advance(2_000);
    expect(await call).toMatchObject({ unsent: true, message: expect.stringContaining("no connection after 2s") });
  });
});

describe("RequestServer.close", () => {
  it("sends pending frames, and accepts no further request", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const server = await scene.serve({ turn: (_, signal) => channel.read(signal) }, { lingerMs: 60_000 });
    const transport = scene.transport();
    const frames = transport.turn(at(server.port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const closed = server.close();
    channel.push({ type: "left" });
    channel.end();
    expect((await frames.next()).value).toEqual({ type: "left" });
    expect((await frames.next()).done).toBe(true);
    await closed;
    expect((await unreachable(transport.call(at(server.port), CALL, never))).unsent).toBe(true);
  });
});

describe("RequestServer with maxOpen", () => {
  it("refuses further requests as busy until one has ended", async () => {
    await using scene = new HttpScene();
    const channel = new Channel<TurnFrame>();
    const { port } = await scene.serve({ turn: (_, signal) => channel.read(signal) }, { maxOpen: 1 });
    const transport = scene.transport();
    const frames = transport.turn(at(port), TURN, never)[Symbol.asyncIterator]();
    channel.push({ type: "accepted" });
    await frames.next();
    const error = await unreachable(transport.call(at(port), CALL, never));
    expect(error).toBeInstanceOf(Refused);
    expect(error).toMatchObject({ reason: "busy", unsent: true, message: expect.stringContaining("(1)") });
    channel.end();
    expect((await frames.next()).done).toBe(true);
    expect(await transport.call(at(port), CALL, never)).toEqual({ type: "answer", value: null });
  });

  it("does not count a request whose sender has left", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { maxOpen: 1 });
    const { headers } = signedRequest("", { digest: digestOf("whatever") });
    const options = { port, host: "127.0.0.1", path: "/castellan/v1/turn", method: "POST", headers };
    const half = request(options).on("error", () => {});
    half.write("{");
    const transport = scene.transport();
    const call = (): Promise<unknown> => transport.call(at(port), CALL, never);
    const untilIt = async (happens: "refused" | "answered"): Promise<void> => {
      const outcome = await call().then(
        () => "answered",
        () => "refused",
      );
      if (outcome !== happens) await untilIt(happens);
    };
    await untilIt("refused");
    half.destroy();
    await untilIt("answered");
  });
});
