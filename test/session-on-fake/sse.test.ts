import { createParser, type EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, ticks } from "./scene.ts";

interface Received {
  readonly events: EventSourceMessage[];
  readonly comments: string[];
}

async function receive(response: Response): Promise<Received> {
  const events: EventSourceMessage[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onComment: (comment) => comments.push(comment),
    onError: (error) => {
      throw error;
    },
  });
  parser.feed(await response.text());
  return { events, comments };
}

const data = ({ data }: EventSourceMessage): unknown => JSON.parse(data);

function textOf(events: readonly EventSourceMessage[]): string {
  return events
    .filter(({ event }) => event === "text")
    .map((event) => {
      const parsed = data(event);
      return typeof parsed === "object" && parsed !== null && "text" in parsed ? String(parsed.text) : "";
    })
    .join("");
}

const script = async (turn: {
  thinking(text: string): Promise<void>;
  toolUse(name: string, input: object): Promise<string>;
  text(text: string, options: object): Promise<void>;
}) => {
  await turn.thinking("hm");
  await turn.toolUse("Read", { file_path: "/x\n\ny" });
  await turn.text("line one\n\nline two: data: event: é🏰", { partials: 6 });
};

test("turn.toResponse(): sends thinking, tool uses, text and the result as server-sent events", async () => {
  await using scene = await Scene.open({ script: (turn) => script(turn) });
  const turn = stream(scene.name, "go");
  const response = turn.toResponse({ view: "operator", headers: { "x-own": "1" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("x-own")).toBe("1");
  const { events } = await receive(response);
  expect(textOf(events)).toBe("line one\n\nline two: data: event: é🏰");
  expect(new Set(events.map(({ event }) => event))).toEqual(new Set(["thinking", "tool_use", "text", "result"]));
  expect(events.filter(({ event }) => event === "tool_use").map(data)).toMatchObject([{ name: "Read" }]);
  const last = events.at(-1);
  expect(last?.event).toBe("result");
  expect(last === undefined ? undefined : data(last)).toEqual(await turn.result());
  // The result has no id of its own, so a client keeps the previous one.
  const ids = events.flatMap(({ id }) => (id === undefined ? [] : [Number(id.split(".").at(-1))]));
  expect(ids).toHaveLength(new Set(ids).size);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
});

test("turn.toResponse({ lastEventId }): resumes after the id, and replays after `retry` for an unknown id", async () => {
  await using scene = await Scene.open({ script: (turn) => script(turn) });
  const turn = stream(scene.name, "go");
  await turn.result();
  const all = (await receive(turn.toResponse({ view: "operator" }))).events;
  for (const [at, { id }] of all.entries()) {
    if (id === undefined || all[at + 1]?.id === id) continue;
    const rest = (await receive(turn.toResponse({ view: "operator", lastEventId: id }))).events;
    const expected = all.slice(at + 1);
    expect(rest.slice(0, expected.length)).toEqual(expected);
    expect(rest.at(-1)?.event).toBe("result");
  }
  const [retry, ...rest] = (await receive(turn.toResponse({ view: "operator", lastEventId: "nonsense" }))).events;
  expect(retry).toMatchObject({ event: "retry", data: '{"attempt":1}' });
  expect(rest).toEqual(all);
  expect((await receive(turn.toResponse({ view: "operator", lastEventId: null }))).events).toEqual(all);
});

test("turn.toResponse(): ends with an error event when the turn fails", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("so far");
      await turn.crash();
    },
  });
  const turn = stream(scene.name, "go");
  const { events } = await receive(turn.toResponse({ view: "operator" }));
  expect(textOf(events)).toBe("so far");
  const last = events.at(-1);
  expect(last?.event).toBe("error");
  expect(last === undefined ? undefined : data(last)).toMatchObject({ code: "TURN_INTERRUPTED" });
});

test("turn.toResponse(): a client that leaves does not stop the turn", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("first ");
      await open.promise;
      await turn.text("second");
    },
  });
  const turn = stream(scene.name, "go");
  const reader = turn.toResponse({ view: "operator" }).body?.getReader();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain("first");
  await reader?.cancel();
  open.resolve();
  expect((await turn.result()).text).toBe("first second");
});

async function silent(use: (turn: Turn, clock: SimulatedClock) => Promise<void>): Promise<void> {
  const open = Promise.withResolvers<void>();
  const heartbeat = new SimulatedClock();
  await using scene = await Scene.open({
    script: async (turn) => {
      await open.promise;
      await turn.text("at last");
    },
  });
  await use(stream(scene.name, "go"), heartbeat);
  open.resolve();
}

test("turn.toResponse(): sends comments as heartbeats while the turn is silent", async () => {
  await silent(async (turn, clock) => {
    const reader = turn.toResponse({ view: "operator", clock, heartbeatMs: 1_000 }).body?.getReader();
    for (let beat = 1; beat <= 3; beat++) {
      const read = reader?.read();
      await ticks(2);
      await clock.advance(1_000);
      expect(new TextDecoder().decode((await read)?.value), `beat ${beat}`).toMatch(/^:/);
    }
    await reader?.cancel();
  });
});

test("turn.toResponse(): keeps no heartbeat timer after the client has left", async () => {
  await silent(async (turn, clock) => {
    const reader = turn.toResponse({ view: "operator", clock, heartbeatMs: 1_000 }).body?.getReader();
    const read = reader?.read();
    await ticks(2);
    await reader?.cancel();
    await read;
    await clock.advance(5_000);
    expect(clock.timers).toBe(0);
  });
});

test("turn.toResponse(): a client that leaves a silent turn leaves no timer behind", async () => {
  await silent(async (turn) => {
    const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    for (let n = 0; n < 20; n++) {
      const reader = turn.toResponse({ view: "operator" }).body?.getReader();
      const read = reader?.read();
      await ticks(1);
      await reader?.cancel();
      await read;
    }
    await eventually(() => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length <= before);
  });
});

test("turn.toResponse(): sends an error event when the session stops", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const turn = stream(scene.name, "go");
  const received = receive(turn.toResponse({ view: "operator" }));
  await scene.fake.prompted(1);
  await scene.session.stop();
  const { events } = await received;
  expect(events.map(({ event }) => event)).toEqual(["error"]);
  await failure(turn.result(), "TURN_INTERRUPTED");
});
