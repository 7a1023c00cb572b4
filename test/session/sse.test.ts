import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import type { SseOptions } from "../../src/session/streams/sse.ts";
import { Turn } from "../../src/session/streams/turn.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";
import {
  assistant,
  keepAlive,
  messageStart,
  success,
  textBlock,
  textDelta,
  thinkingBlock,
  toolBlock,
} from "./messages.ts";
import { NO_CALLS } from "./no-calls.ts";

const reply: Reply = {
  text: "Hello",
  usage: { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
  costUsd: 0.1,
  models: [],
  sessionId: "s",
  turnId: "t",
  stopReason: "end_turn",
  durationMs: 1,
};

const STORY: readonly SDKMessage[] = [
  keepAlive(),
  messageStart("m1"),
  textDelta("Hel"),
  textDelta("lo\nyou"),
  assistant("m1", [textBlock("Hello\nyou")]),
  assistant("m1", [toolBlock("tool", "Bash", { command: "ls" })]),
  assistant("m2", [thinkingBlock("hm"), textBlock("Done.")]),
  success(),
];

function running(messages: readonly SDKMessage[] = []): { turn: Turn; record: TurnRecord } {
  const record = new TurnRecord("t", "prompt", 'session "a"', { queueTimeoutMs: 600_000, life: "life" });
  record.enqueued();
  record.started();
  for (const message of messages) record.append(message);
  return { record, turn: new Turn(record, "a", NO_CALLS) };
}

function completed(): Turn {
  const { record, turn } = running(STORY);
  record.complete(reply);
  return turn;
}

function parse(body: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onError: (error) => {
      throw error;
    },
  });
  parser.feed(body);
  return events;
}

async function eventsOf(turn: Turn, options: SseOptions = {}): Promise<EventSourceMessage[]> {
  return parse(await turn.toResponse({ view: "operator", ...options }).text());
}

const parsed = (events: readonly EventSourceMessage[]): unknown[] =>
  events.map(({ event, data }) => ({ event, data: JSON.parse(data) }));

const ALL = [
  { event: "text", data: { text: "Hel" } },
  { event: "text", data: { text: "lo\nyou" } },
  { event: "tool_use", data: { id: "tool", name: "Bash", input: { command: "ls" } } },
  { event: "thinking", data: { text: "hm" } },
  { event: "text", data: { text: "Done." } },
  { event: "result", data: reply },
];

describe("Turn.toResponse", () => {
  it("sets headers against caching and buffering, and adds the caller's", () => {
    const { headers, status } = running().turn.toResponse({ headers: { "x-own": "1", "content-type": "text/plain" } });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(headers.get("cache-control")).toContain("no-cache");
    expect(headers.get("x-accel-buffering")).toBe("no");
    expect(headers.get("x-own")).toBe("1");
  });

  it("sends a turn from its beginning to its result", async () => {
    expect(parsed(await eventsOf(completed()))).toEqual(ALL);
  });

  it("ends a failed turn with its code, after the partial text", async () => {
    const { record, turn } = running([messageStart("m1"), textDelta("half")]);
    record.fail("failed", new CastellanError("SESSION_STOPPED", 'session "a" has been stopped.'));
    expect(parsed(await eventsOf(turn))).toEqual([
      { event: "text", data: { text: "half" } },
      { event: "error", data: { code: "SESSION_STOPPED", message: 'session "a" has been stopped.' } },
    ]);
  });

  it("sends events as they arrive", async () => {
    const { record, turn } = running();
    const reader = turn
      .toResponse({ view: "operator", clock: new SimulatedClock() })
      .body?.pipeThrough(new TextDecoderStream())
      .getReader();
    record.append(messageStart("m1"));
    record.append(textDelta("now"));
    expect((await reader?.read())?.value).toContain('data: {"text":"now"}');
    const next = reader?.read();
    record.complete(reply);
    expect((await next)?.value).toContain("event: result");
    expect((await reader?.read())?.done).toBe(true);
  });

  it("resumes after any event id without loss or repetition", async () => {
    const all = await eventsOf(completed());
    for (const [index, { id }] of all.entries()) {
      if (id === undefined) continue;
      const rest = await eventsOf(completed(), { lastEventId: id });
      expect(parsed(rest)).toEqual(ALL.slice(index + 1));
    }
  });

  it("gives the id to the last event of a message only, so an id covers all of its message", async () => {
    const events = await eventsOf(completed());
    const thinking = events.findIndex(({ event }) => event === "thinking");
    expect(events[thinking]?.id).toBeUndefined();
    expect(events[thinking + 1]?.id).toBe("life.1.6");
    expect(events.map(({ id }) => id?.split(".").at(-1))).toEqual(["2", "3", "5", undefined, "6", undefined]);
  });

  it.each([[null], [""], [undefined]])("starts at the beginning with %j as the last id", async (lastEventId) => {
    const options = lastEventId === undefined ? {} : { lastEventId };
    expect(parsed(await eventsOf(completed(), options))).toEqual(ALL);
  });

  it.each(["x", "17", "life.1", "another.1.3", "t.1.0", ".1.1", "life.1.3.", "9".repeat(1_000)])(
    "sends `retry` and everything for %j, an id of another turn",
    async (lastEventId) => {
      const [retry, ...rest] = parsed(await eventsOf(completed(), { lastEventId }));
      expect([retry, ...rest]).toEqual([{ event: "retry", data: { attempt: 1 } }, ...ALL]);
    },
  );

  it("sends `retry` even if nothing follows", async () => {
    const silent = running();
    silent.record.complete(reply);
    const retry = { event: "retry", data: { attempt: 1 } };
    const result = { event: "result", data: reply };
    expect(parsed(await eventsOf(silent.turn, { lastEventId: "before.1.3" }))).toEqual([retry, result]);
    expect(parsed(await eventsOf(silent.turn))).toEqual([result]);
    const { turn, record } = running([messageStart("m1"), textDelta("half")]);
    record.requeued();
    record.started();
    record.fail("failed", new CastellanError("SESSION_STOPPED", "it is over."));
    const error = { event: "error", data: { code: "SESSION_STOPPED", message: "it is over." } };
    const half = { event: "text", data: { text: "half" } };
    expect(parsed(await eventsOf(turn))).toEqual([half, { event: "retry", data: { attempt: 2 } }, error]);
  });

  it("sends no `retry` for the last attempt of a failed turn", async () => {
    const { turn, record } = running();
    record.fail("failed", new CastellanError("SESSION_STOPPED", "it is over."));
    expect(parsed(await eventsOf(turn, { lastEventId: "before.1.3" }))).toEqual([
      { event: "error", data: { code: "SESSION_STOPPED", message: "it is over." } },
    ]);
  });

  it("carries any text unchanged", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { minLength: 1 }), async (pieces) => {
        const { record, turn } = running([messageStart("m1"), ...pieces.map((text) => textDelta(text))]);
        record.complete(reply);
        const events = parsed(await eventsOf(turn));
        expect(events.slice(0, -1)).toEqual(pieces.map((text) => ({ event: "text", data: { text } })));
      }),
      { numRuns: 30 },
    );
  });

  describe("in silence", () => {
    function open(clock: SimulatedClock): { record: TurnRecord; body: ReadableStream<string> } {
      const { record, turn } = running();
      const response = turn.toResponse({ view: "operator", clock, heartbeatMs: 1_000 });
      if (response.body === null) throw new Error("no body");
      return { record, body: response.body.pipeThrough(new TextDecoderStream()) };
    }

    it("sends comments as heartbeats, which are no events", async () => {
      const clock = new SimulatedClock();
      const { record, body } = open(clock);
      const pieces: string[] = [];
      const done = (async () => {
        for await (const piece of body) pieces.push(piece);
      })();
      await clock.advance(999);
      expect(pieces).toEqual([]);
      await clock.advance(4_001);
      expect(pieces).toHaveLength(5);
      expect(pieces.every((piece) => piece.startsWith(":") && piece.endsWith("\n\n"))).toBe(true);
      record.complete(reply);
      await done;
      expect(parsed(parse(pieces.join("")))).toEqual([{ event: "result", data: reply }]);
      expect(clock.timers).toBe(0);
    });

    it("sends no further heartbeat to a client that does not read", async () => {
      const clock = new SimulatedClock();
      const { turn } = running();
      const reader = turn.toResponse({ view: "operator", clock, heartbeatMs: 1_000 }).body?.getReader();
      const first = reader?.read();
      await clock.advance(100_000);
      expect(new TextDecoder().decode((await first)?.value)).toMatch(/^:/);
      await reader?.read();
      let more = false;
      void reader?.read().then(() => {
        more = true;
      });
      await settle();
      expect(more).toBe(false);
      await reader?.cancel();
    });

    it("stops when the client leaves; the turn and its other readers continue", async () => {
      const clock = new SimulatedClock();
      const { record, turn } = running();
      const gone = turn.toResponse({ view: "operator", clock, heartbeatMs: 1_000 }).body?.getReader();
      void gone?.read();
      await settle();
      await gone?.cancel();
      await clock.advance(10_000);
      expect(clock.timers).toBe(0);
      const other = eventsOf(turn, { clock });
      for (const message of STORY) record.append(message);
      record.complete(reply);
      expect(parsed(await other)).toEqual(ALL);
      expect(turn.state).toBe("completed");
    });
  });
});
