import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { EventLog } from "../../src/session/streams/event-log.ts";
import { settle } from "../supervision/simulated-clock.ts";
import { keepAlive } from "./messages.ts";

/** The number of a turn's messages that stay readable. */
const KEPT = 131_072;

const MESSAGE = keepAlive();

function logOf(length: number): EventLog<SDKMessage> {
  const log = new EventLog<SDKMessage>('session "a", turn t');
  for (let count = 0; count < length; count++) log.append(MESSAGE);
  return log;
}

async function numbers(log: EventLog<SDKMessage>, from?: number): Promise<number[]> {
  const read: number[] = [];
  for await (const { number } of log.read(from)) read.push(number);
  return read;
}

const upTo = (length: number, from = 0): number[] =>
  Array.from({ length: Math.max(0, length - from) }, (_, i) => i + from);

describe("EventLog", () => {
  it("gives every reader all messages in order, with their numbers, and ends", async () => {
    const log = new EventLog<SDKMessage>("turn");
    const messages: SDKMessage[] = [keepAlive(), keepAlive(), keepAlive()];
    for (const message of messages) log.append(message);
    log.end();
    expect(await Array.fromAsync(log.read())).toEqual(messages.map((event, number) => ({ number, event })));
    expect(log.length).toBe(3);
  });

  it("makes a reader wait for the next message", async () => {
    const log = logOf(1);
    const reader = log.read();
    expect((await reader.next()).value?.number).toBe(0);
    const next = reader.next();
    let arrived = false;
    void next.then(() => {
      arrived = true;
    });
    await settle();
    expect(arrived).toBe(false);
    log.append(MESSAGE);
    expect((await next).value?.number).toBe(1);
    const end = reader.next();
    log.end();
    expect((await end).done).toBe(true);
  });

  it("reads from any number, also a future one, and after the end", async () => {
    const log = logOf(5);
    const later = numbers(log, 7);
    for (let count = 0; count < 5; count++) log.append(MESSAGE);
    log.end();
    expect(await later).toEqual([7, 8, 9]);
    expect(await numbers(log, 4)).toEqual(upTo(10, 4));
    expect(await numbers(log, 10)).toEqual([]);
    expect(await numbers(log, 99)).toEqual([]);
  });

  it("rejects readers with the log's error after they have read everything", async () => {
    const log = logOf(2);
    const error = new Error("cut");
    const early = log.read();
    await early.next();
    log.end(error);
    log.end();
    expect((await early.next()).value?.number).toBe(1);
    await expect(early.next()).rejects.toBe(error);
    await expect(numbers(log)).rejects.toBe(error);
    await expect(numbers(log, 2)).rejects.toBe(error);
  });

  it("serves readers that start and leave at any time", async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ do: fc.constant("read" as const), from: fc.nat({ max: 20 }) }),
      fc.record({ do: fc.constant("leave" as const) }),
      fc.record({ do: fc.constant("rest" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const log = new EventLog<SDKMessage>("turn");
        const readers: { from: number; read: Promise<number[]> }[] = [];
        let appended = 0;
        for (const now of steps) {
          if (now.do === "append") {
            appended += now.count;
            for (let count = 0; count < now.count; count++) log.append(MESSAGE);
          } else if (now.do === "read") readers.push({ from: now.from, read: numbers(log, now.from) });
          else if (now.do === "leave") void log.read().return();
          else await settle();
        }
        log.end();
        for (const { from, read } of readers) expect(await read).toEqual(upTo(appended, from));
      }),
      { numRuns: 50 },
    );
  });

  it("rejects a late reader with EVENTS_LOST and the oldest number", async () => {
    const log = logOf(KEPT + 1);
    const slow = log.read();
    const error: unknown = await slow.next().catch((reason: unknown) => reason);
    if (!CastellanError.is(error, "EVENTS_LOST")) throw error;
    expect(error.details.oldest).toBe(1);
    expect(error.message).toContain('session "a", turn t');
    expect((await log.read(error.details.oldest).next()).value?.number).toBe(1);
  });

  it("rejects a reader that falls behind, and serves a fast reader", async () => {
    const log = logOf(0);
    const [slow, quick] = [log.read(), numbers(log)];
    log.append(MESSAGE);
    await slow.next();
    for (let count = 0; count < 2 * KEPT + 10; count++) {
      log.append(MESSAGE);
      if (count % 10_000 === 0) await settle();
    }
    log.end();
    await expect(slow.next()).rejects.toMatchObject({ code: "EVENTS_LOST", details: { oldest: KEPT + 11 } });
    expect((await quick).length).toBe(2 * KEPT + 11);
  });

  it("appends in linear time", () => {
    const log = logOf(0);
    const fill = (count: number): number => {
      const start = performance.now();
      for (let done = 0; done < count; done++) log.append(MESSAGE);
      return performance.now() - start;
    };
    const first = fill(100_000);
    expect(fill(200_000)).toBeLessThan(20 * first + 200);
    expect(log.length).toBe(300_000);
  });
});
