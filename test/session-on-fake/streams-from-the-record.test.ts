import { createParser } from "eventsource-parser";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { type FakeScript, type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { readUI } from "../session/ui-messages.ts";
import { expectNothingLeft, run } from "./application.ts";
import { Scene, ticks, unique } from "./scene.ts";

const LONG = "line one\n\nline two é🏰 ".repeat(3_300);
const INPUT = { content: LONG, nested: { deep: ["short", 7, null] } };
const IMAGE = { type: "base64", media_type: "image/png", data: Buffer.from("a picture").toString("base64") };

/** Shows thinking, texts and tools in several messages, and more than 64 kB of each. */
async function script(turn: FakeTurn): Promise<void> {
  await turn.thinking(`hm ${LONG}`);
  await turn.text("I look.", { partials: 2 });
  await turn.toolUse("Write", INPUT, { result: LONG });
  await turn.toolUse("Bash", { command: "false" }, { result: "exit code 1", isError: true });
  await turn.toolUse("Look", { source: IMAGE }, { result: "a picture" });
  await turn.text(LONG, { partials: 6 });
}

interface ServerEvent {
  readonly event: string;
  readonly data: { readonly [name: string]: unknown };
  readonly id: string | undefined;
}

async function eventsOf(turn: Turn | undefined, lastEventId: string | null = null): Promise<ServerEvent[]> {
  if (turn === undefined) throw new Error("there is no such turn");
  const events: ServerEvent[] = [];
  const parser = createParser({
    onEvent: ({ event = "", data, id }) => events.push({ event, data: JSON.parse(data), id }),
  });
  parser.feed(await turn.toResponse({ lastEventId }).text());
  return events;
}

/** Joins the pieces of each text. */
function joined(events: readonly ServerEvent[]): unknown[] {
  const all: { event: string; data: { readonly [name: string]: unknown } }[] = [];
  for (const { event, data } of events) {
    const last = all.at(-1);
    if (last?.event !== event || typeof data["text"] !== "string" || event === "result") all.push({ event, data });
    else last.data = { text: `${last.data["text"]}${data["text"]}` };
  }
  return all;
}

const setUp = (own: FakeScript) => ({ fake: fakeClaude(own), journal: memoryJournal() });

test.each([[true], [false]])(
  "turn.toUIMessageStreamResponse(): replays the same message as the live one; partials: %j",
  async (includePartialMessages) => {
    const both = setUp(script);
    const name = unique();
    const first = await run(both, [{ name, includePartialMessages }]);
    const id = await first.session(name).enqueue("go");
    const turn = await first.session(name).turn(id);
    if (turn === undefined) throw new Error("there is no such turn");
    const live = await readUI(turn.toUIMessageStreamResponse());
    const sse = await eventsOf(turn);
    await first.session(name).clear();
    await first.stop();
    await using second = await run(both, [{ name }]);
    const recalled = await second.session(name).turn(id);
    expect(recalled?.recalled).toBe(true);
    const replayed = await readUI(recalled?.toUIMessageStreamResponse() ?? new Response());
    expect(replayed.errors).toEqual([]);
    expect(replayed.message).toEqual(live.message);
    expect(replayed.message?.parts.filter(({ type }) => type === "dynamic-tool")).toMatchObject([
      { toolName: "Write", input: INPUT, output: LONG, state: "output-available" },
      { toolName: "Bash", errorText: "exit code 1", state: "output-error" },
      { toolName: "Look", input: { source: IMAGE }, state: "output-available" },
    ]);
    expect(joined(await eventsOf(recalled))).toEqual(joined(sse));
    const texts = await Array.fromAsync(recalled?.text() ?? []);
    expect(texts.join("")).toBe(`I look.${LONG}`);
    await second.stop();
    expectNothingLeft(both.fake);
  },
);

test("turn.toResponse(): continues after any id of the record, over restarts of the application", async () => {
  const both = setUp(script);
  const name = unique();
  let supervisor = await run(both, [{ name }]);
  const { turnId: id } = await supervisor.session(name).query("go");
  await supervisor.stop();
  supervisor = await run(both, [{ name }]);
  const all = await eventsOf(await supervisor.session(name).turn(id));
  for (const [at, { id: lastEventId }] of all.entries()) {
    if (lastEventId === undefined) continue;
    await supervisor.stop();
    supervisor = await run(both, [{ name }]);
    await supervisor.session(name).query(`another turn ${at}`);
    expect(await eventsOf(await supervisor.session(name).turn(id), lastEventId)).toEqual(all.slice(at + 1));
  }
  await supervisor.stop();
});

test("turn.toResponse(): does not repeat half a block that a page has from deltas, once the messages are gone", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt !== "go") return await turn.text("ok");
      await turn.text("first and second", { partials: 8 });
      await turn.toolUse("Read", { file_path: "/x" });
      await turn.text("Done.");
    },
  });
  const { turnId } = await query(scene.name, "go");
  const live = await eventsOf(await scene.session.turn(turnId));
  for (let n = 0; n < 17; n++) await query(scene.name, `${n}`);
  await ticks(1);
  const turn = await scene.session.turn(turnId);
  expect(turn?.recalled).toBe(true);
  const ids = live.flatMap(({ id }) => (id === undefined ? [] : [id]));
  expect(ids.length).toBeGreaterThan(4);
  for (const id of ids) {
    // The page of the guide drops everything at `retry`.
    const [retry, ...events] = await eventsOf(turn, id);
    expect(retry?.event).toBe("retry");
    expect(joined(events).slice(0, -1)).toEqual(joined(live).slice(0, -1));
  }
});

test("turn.toResponse(): replays only the last attempt of a turn that ran again", async () => {
  const both = setUp(async (turn) => {
    await turn.text(`try ${turn.index}. `);
    await turn.toolUse("Read", { file_path: `/${turn.index}` });
    if (turn.index === 0) await turn.crash();
    await turn.text("Done.");
  });
  const name = unique();
  const first = await run(both, [{ name, onInterruptedTurn: "retry" }]);
  const { turnId } = await first.session(name).query("go");
  await first.stop();
  await using second = await run(both, [{ name }]);
  const turn = await second.session(name).turn(turnId);
  const events = await eventsOf(turn);
  expect(events.map(({ event, data }) => `${event} ${data["text"] ?? ""}`)).toEqual([
    "text try 1. ",
    "tool_use ",
    "text Done.",
    "result Done.",
  ]);
  expect(events[0]?.id).toMatch(new RegExp(`^${turnId}\\.2\\.\\d+$`));
  const { message } = await readUI(turn?.toUIMessageStreamResponse() ?? new Response());
  expect(message?.parts.flatMap((part) => (part.type === "text" ? [part.text] : []))).toEqual(["try 1. ", "Done."]);
});

test("turn.toResponse(): says `lost` where the record no longer has the beginning of a turn, and has the result", async () => {
  const both = setUp(script);
  const name = unique();
  const first = await run(both, [{ name }]);
  const { turnId } = await first.session(name).query("go");
  await first.stop();
  const keep = async (perSession: number): Promise<void> => {
    const events = { since: 0, perSession, bytesPerSession: Number.MAX_SAFE_INTEGER };
    await both.journal.prune({ endedSince: 0, turnsPerSession: 1_000, events });
  };
  await using second = await run(both, [{ name }]);
  const newest = await second.session(name).pastEvents({ limit: 1_000 });
  await keep(newest.findLastIndex(({ type }) => type === "text") + 1);
  const turn = await second.session(name).turn(turnId);
  const page = await eventsOf(turn);
  expect(page.map(({ event }) => event)).toEqual([
    "lost",
    "text",
    "tool_use",
    "tool_use",
    "tool_use",
    "text",
    "result",
  ]);
  const { message } = await readUI(turn?.toUIMessageStreamResponse() ?? new Response());
  expect(message?.parts[0]).toMatchObject({ type: "data-lost" });
  // The journal still has the answer if it has no event of the turn.
  await keep(0);
  const outcome = await eventsOf(await second.session(name).turn(turnId));
  expect(outcome.map(({ event }) => event)).toEqual(["lost", "text", "result"]);
  expect(outcome.at(-1)?.data["text"]).toBe(LONG);
});
