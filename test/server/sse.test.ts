import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { EventBuffer } from "../../src/server/http/event-buffer.ts";
import {
  eventStream,
  lastEventId,
  type ServerEvent,
  SharedEvent,
  type StreamTerms,
} from "../../src/server/http/sse.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";

function terms(clock: SimulatedClock, draining = new AbortController()): StreamTerms {
  return { clock, draining: draining.signal, pingMs: 15_000, stallMs: 60_000 };
}

function numbered(n: number): ServerEvent {
  return { event: "number", data: { n }, id: String(n) };
}

/** A source of events that waits for its end after `count` events, and notes how many were taken. */
function source(count: number, seen: { taken: number; ended: boolean }) {
  return async function* (signal: AbortSignal): AsyncGenerator<readonly ServerEvent[], void, undefined> {
    try {
      for (let n = 1; n <= count; n++) {
        seen.taken = n;
        yield [numbered(n)];
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    } finally {
      seen.ended = true;
    }
  };
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const { done, value } = await reader.read();
  return done ? undefined : new TextDecoder().decode(value);
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  if (response.body === null) throw new Error("the response has no body");
  return response.body.getReader();
}

describe("eventStream", () => {
  it("sends name, JSON and id of each event, and ends with its source", async () => {
    const clock = new SimulatedClock();
    const response = eventStream(async function* () {
      yield [numbered(1)];
      yield [{ event: "text", data: "a\nb\u2028" }];
    }, terms(clock));
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(await response.text()).toBe('id: 1\nevent: number\ndata: {"n":1}\n\nevent: text\ndata: "a\\nb\u2028"\n\n');
    expect(clock.timers).toBe(0);
  });

  it("takes a chunk and an event from the source at most, before the client asks for more", async () => {
    const seen = { taken: 0, ended: false };
    const reader = readerOf(eventStream(source(1_000_000, seen), terms(new SimulatedClock())));
    await settle();
    expect(seen.taken).toBe(0);
    const chunk = (await read(reader)) ?? "";
    await settle();
    expect(chunk.length).toBeLessThan(16_384 + 100);
    expect(seen.taken - (chunk.match(/^id/gm) ?? []).length).toBeLessThanOrEqual(1);
    const { taken } = seen;
    await read(reader);
    await settle();
    expect(seen.taken).toBeGreaterThan(taken);
    await reader.cancel();
    expect(seen.ended).toBe(true);
  });

  it("sends a batch in one chunk", async () => {
    const reader = readerOf(
      eventStream(async function* () {
        for (const first of [1, 4, 7]) yield [first, first + 1, first + 2].map(numbered);
      }, terms(new SimulatedClock())),
    );
    const chunks: (readonly string[])[] = [];
    for (let chunk = await read(reader); chunk !== undefined; chunk = await read(reader)) {
      chunks.push(chunk.match(/(?<=id: )\d+/g) ?? []);
    }
    expect(chunks).toEqual([
      ["1", "2", "3"],
      ["4", "5", "6"],
      ["7", "8", "9"],
    ]);
  });

  it("sends a large batch in several chunks, all events once and in order", async () => {
    const batch = Array.from({ length: 2_000 }, (_, n) => numbered(n));
    const reader = readerOf(
      eventStream(async function* () {
        yield batch;
        yield [numbered(2_000)];
      }, terms(new SimulatedClock())),
    );
    const chunks: string[] = [];
    for (let chunk = await read(reader); chunk !== undefined; chunk = await read(reader)) chunks.push(chunk);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(16_384 + 100);
    expect(chunks.length).toBeGreaterThan(2);
    const ids = chunks
      .join("")
      .match(/(?<=id: )\d+/g)
      ?.map(Number);
    expect(ids).toEqual(Array.from({ length: 2_001 }, (_, n) => n));
  });

  it("formats an event once for all streams that share it, and gives each its own bytes", async () => {
    let formatted = 0;
    const data = {
      toJSON: () => {
        formatted += 1;
        return { type: "text" };
      },
    };
    const event = new SharedEvent("text", data, "1");
    const source = async function* () {
      yield [event];
    };
    const bodies = Array.from({ length: 20 }, () => eventStream(source, terms(new SimulatedClock())).bytes());
    const [first, ...others] = await Promise.all(bodies);
    first?.fill(0);
    for (const bytes of others) {
      expect(new TextDecoder().decode(bytes)).toBe('id: 1\nevent: text\ndata: {"type":"text"}\n\n');
    }
    expect(formatted).toBe(1);
  });

  it("ends a chunk after a large event, and sends what came before a failure of the source", async () => {
    const large = "x".repeat(20_000);
    const reader = readerOf(
      eventStream(async function* () {
        yield [numbered(1), { event: "large", data: large }, numbered(2)];
        throw new Error("no more");
      }, terms(new SimulatedClock())),
    );
    expect(await read(reader)).toMatch(/^id: 1\n.*\n.*\n\nevent: large\ndata: "x+"\n\n$/);
    expect(await read(reader)).toContain('"n":2');
    await expect(read(reader)).rejects.toThrow("no more");
  });

  it("pings while the source is silent", async () => {
    const clock = new SimulatedClock();
    const reader = readerOf(eventStream(source(0, { taken: 0, ended: false }), terms(clock)));
    const first = read(reader);
    await clock.advance(15_000);
    expect(await first).toBe('event: ping\ndata: {"type":"ping"}\n\n');
    const second = read(reader);
    await clock.advance(15_000);
    expect(await second).toContain("ping");
    await reader.cancel();
    expect(clock.timers).toBe(0);
  });

  it("cuts a client that takes no event, and frees its source", async () => {
    const clock = new SimulatedClock();
    const seen = { taken: 0, ended: false };
    const reader = readerOf(eventStream(source(3, seen), terms(clock)));
    expect(await read(reader)).toContain('"n":1');
    await clock.advance(59_999);
    expect(seen.ended).toBe(false);
    await clock.advance(1);
    expect(seen.ended).toBe(true);
    await expect(read(reader)).rejects.toThrow("took nothing for 60000 ms");
    expect(clock.timers).toBe(0);
  });

  it("cuts a client that takes no ping, but not one that takes it late", async () => {
    const clock = new SimulatedClock();
    const late = readerOf(eventStream(source(0, { taken: 0, ended: false }), terms(clock)));
    void read(late);
    await clock.advance(15_000);
    await clock.advance(15_000);
    // The second ping waits for 59 s, and is taken just in time.
    await clock.advance(59_000);
    expect(await read(late)).toContain("ping");
    const next = read(late);
    await clock.advance(20_000);
    expect(await next).toContain("ping");
    await late.cancel();

    const seen = { taken: 0, ended: false };
    const never = readerOf(eventStream(source(0, seen), terms(clock)));
    void read(never);
    await clock.advance(15_000 + 15_000 + 60_000);
    expect(seen.ended).toBe(true);
    await expect(never.closed).rejects.toThrow("took nothing");
  });

  it("tells a client to reconnect when the server drains, at once", async () => {
    const clock = new SimulatedClock();
    const draining = new AbortController();
    const seen = { taken: 0, ended: false };
    const response = eventStream(source(0, seen), terms(clock, draining), {
      drained: { event: "reconnect", data: { type: "reconnect" } },
    });
    const text = response.text();
    await settle();
    draining.abort();
    expect(await text).toBe('retry: 1000\n\nevent: reconnect\ndata: {"type":"reconnect"}\n\n');
    expect(seen.ended).toBe(true);
    const after = eventStream(source(0, seen), terms(clock, draining));
    expect(await after.text()).toBe("retry: 1000\n\n");
    expect(clock.timers).toBe(0);
  });

  it("begins nothing for a body that nobody reads, as for HEAD", async () => {
    const draining = new AbortController();
    let begun = 0;
    const begin = async function* (): AsyncGenerator<readonly ServerEvent[], void, undefined> {};
    const response = eventStream(
      () => {
        begun += 1;
        return begin();
      },
      terms(new SimulatedClock(), draining),
    );
    await settle();
    expect([begun, getEventListeners(draining.signal, "abort").length]).toEqual([0, 0]);
    expect(await response.text()).toBe("");
    expect([begun, getEventListeners(draining.signal, "abort").length]).toEqual([1, 0]);
  });

  it("breaks the connection when the source fails", async () => {
    const clock = new SimulatedClock();
    const response = eventStream(async function* () {
      yield [numbered(1)];
      throw new Error("the journal is gone");
    }, terms(clock));
    await expect(response.text()).rejects.toThrow("the journal is gone");
    expect(clock.timers).toBe(0);
  });

  it("keeps no listener and no timer of a thousand clients that left", async () => {
    const clock = new SimulatedClock();
    const draining = new AbortController();
    let listeners = 0;
    const signal = draining.signal;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    for (let n = 0; n < 1_000; n++) {
      const seen = { taken: 0, ended: false };
      const reader = readerOf(eventStream(source(1, seen), terms(clock, draining)));
      await read(reader);
      await reader.cancel();
      expect(seen.ended).toBe(true);
    }
    expect(listeners).toBe(0);
    expect(clock.timers).toBe(0);
  });
});

describe("lastEventId", () => {
  it("reads the header, and takes an empty one for none", () => {
    expect(lastEventId(new Headers({ "last-event-id": "7" }))).toBe("7");
    expect(lastEventId(new Headers({ "last-event-id": "" }))).toBeUndefined();
    expect(lastEventId(new Headers())).toBeUndefined();
  });
});

describe("EventBuffer", () => {
  it("passes events on, and ends after the last one", async () => {
    const buffer = new EventBuffer();
    const taken: unknown[] = [];
    const reading = (async () => {
      for await (const events of buffer) taken.push(...events.map(({ data }) => data));
    })();
    buffer.push(numbered(1));
    await settle();
    buffer.push(numbered(2));
    buffer.push(numbered(3));
    buffer.end();
    buffer.push(numbered(4));
    await reading;
    expect(taken).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  it.each([
    ["events", { maxEvents: 3 }],
    ["characters", { maxCharacters: 25 }],
  ])("drops everything and says so when it holds too many %s", async (_, limits) => {
    const buffer = new EventBuffer(limits);
    for (let n = 1; n <= 10; n++) buffer.push(numbered(n));
    expect((await Array.fromAsync(buffer)).flat().map(({ event }) => event)).toEqual(["lost"]);
  });

  it("counts only what is left to read", async () => {
    const buffer = new EventBuffer({ maxEvents: 2, maxCharacters: 20 });
    const reader = buffer[Symbol.asyncIterator]();
    for (let n = 1; n <= 100; n++) {
      buffer.push(numbered(n));
      expect((await reader.next()).value).toEqual([numbered(n)]);
    }
  });
});
