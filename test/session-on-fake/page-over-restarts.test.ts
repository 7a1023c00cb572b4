import { createParser } from "eventsource-parser";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "./application.ts";
import { failure, Scene, ticks, unique } from "./scene.ts";

const setUp = (script: FakeScript) => ({ fake: fakeClaude(script), journal: memoryJournal() });

/** An SSE client that shows a turn and remembers the last event id. */
class Page {
  readonly events: string[] = [];
  text = "";
  tools: string[] = [];
  lastEventId: string | null = null;

  /** Follows a turn to its end, or until the text contains `until`. */
  async follow(turn: Turn | undefined, until?: string): Promise<void> {
    if (turn === undefined) throw new Error("there is no such turn");
    const body = turn.toResponse({ lastEventId: this.lastEventId }).body?.pipeThrough(new TextDecoderStream());
    const parser = createParser({ onEvent: ({ event, data, id }) => this.#take(event ?? "", JSON.parse(data), id) });
    for await (const piece of body ?? []) {
      parser.feed(piece);
      if (until !== undefined && this.text.includes(until)) return;
    }
  }

  #take(event: string, data: { text?: string; name?: string; code?: string }, id: string | undefined): void {
    this.lastEventId = id ?? this.lastEventId;
    this.events.push(data.code === undefined ? event : `${event} ${data.code}`);
    if (event === "text") this.text += data.text;
    if (event === "tool_use") this.tools.push(data.name ?? "");
    if (event !== "retry") return;
    this.text = "";
    this.tools = [];
  }
}

test("turn.toResponse(): sends a page `retry` after a restart of the application, so two answers never mix", async () => {
  let cut = true;
  const both = setUp(async (turn) => {
    await turn.toolUse("Read", { file_path: "/x" });
    if (!cut) return await turn.text("An answer of another kind.", { partials: 8 });
    for (const text of ["The ", "first ", "answer "]) await turn.partial(text);
    return await turn.hang();
  });
  const name = unique();
  const page = new Page();
  const first = await run(both, [{ name, onInterruptedTurn: "retry" }]);
  const id = await first.session(name).enqueue("go");
  await page.follow(await first.session(name).turn(id), "answer ");
  expect(page.text).toBe("The first answer ");
  await first.stop();
  cut = false;
  const second = await run(both, [{ name, onInterruptedTurn: "retry" }]);
  const before = page.events.length;
  await page.follow(await second.session(name).turn(id));
  expect(page.events[before]).toBe("retry");
  expect([page.text, page.tools]).toEqual(["An answer of another kind.", ["Read"]]);
  expect(page.events.filter((event) => event === "retry")).toHaveLength(1);
  expect(page.events.at(-1)).toBe("result");
  await second.stop();
  expectNothingLeft(both.fake);
});

/** Returns what a response sent, and why it broke off. */
async function received(response: Response): Promise<{ readonly text: string; readonly broken: unknown }> {
  let text = "";
  try {
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) text += piece;
    return { text, broken: undefined };
  } catch (broken) {
    return { text, broken };
  }
}

test("streams of a turn break off, without an error for the user, when the application stops and the next one continues it", async () => {
  let stops = true;
  const both = setUp(async (turn) => {
    await turn.partial("so far");
    if (stops) await turn.hang();
  });
  const name = unique();
  const first = await run(both, [{ name, onInterruptedTurn: "retry" }]);
  const [id = "", waiting = ""] = [await first.session(name).enqueue("go"), await first.session(name).enqueue("later")];
  const turns = await Promise.all([id, waiting].map((one) => first.session(name).turn(one)));
  const responses = turns.flatMap((turn) => [turn?.toResponse(), turn?.toUIMessageStreamResponse()]);
  const all = Promise.all(responses.map(async (response) => await received(response ?? new Response())));
  for await (const _ of turns[0]?.text() ?? []) break;
  await first.stop();
  for (const { text, broken } of await all) {
    expect(broken).toMatchObject({ code: "SUPERVISOR_STOPPED" });
    expect(text).not.toContain("SUPERVISOR_STOPPED");
    expect(text).not.toMatch(/"type":"(error|abort|finish)"/);
  }
  stops = false;
  await using second = await run(both, [{ name, onInterruptedTurn: "retry" }]);
  for (const one of [id, waiting]) {
    const { text, broken } = await received((await second.session(name).turn(one))?.toResponse() ?? new Response());
    expect(broken).toBeUndefined();
    expect(text).toContain("event: result");
  }
});

test("streams of a turn that nobody can find again end with an error when the application stops", async () => {
  const both = setUp((turn) => turn.hang());
  const name = unique();
  const first = await run(both, [{ name }]);
  const turn = first.session(name).stream("go");
  const [sse, ui] = [received(turn.toResponse()), received(turn.toUIMessageStreamResponse())];
  await both.fake.prompted(1);
  await first.stop();
  expect(await sse).toMatchObject({ text: expect.stringContaining("event: error"), broken: undefined });
  expect(await ui).toMatchObject({ text: expect.stringContaining('"type":"error"'), broken: undefined });
});

test("turn.toResponse(): replays a finished turn from the journal, also after `clear()`", async () => {
  const both = setUp(async (turn) => {
    await turn.thinking("hm");
    await turn.text("Let me look. ");
    await turn.toolUse("Read", { file_path: "/x" });
    await turn.text("Done.");
  });
  const name = unique();
  const [seen, fresh] = [new Page(), new Page()];
  const first = await run(both, [{ name }]);
  const id = await first.session(name).enqueue("go");
  await seen.follow(await first.session(name).turn(id), "look");
  await (await first.session(name).turn(id))?.result();
  await first.session(name).clear();
  await first.stop();
  await using second = await run(both, [{ name }]);
  const turn = await second.session(name).turn(id);
  expect(turn?.recalled).toBe(true);
  const begun = seen.events.length;
  await seen.follow(turn);
  await fresh.follow(turn);
  const all = ["thinking", "text", "tool_use", "text", "result"];
  expect(fresh.events).toEqual(all);
  expect(seen.events.slice(begun)).toEqual(["retry", ...all]);
  for (const page of [seen, fresh]) expect([page.text, page.tools]).toEqual(["Let me look. Done.", ["Read"]]);
  // A page that loses its connection during the replay continues where it was.
  const again = new Page();
  await again.follow(turn, "Let me look. ");
  await again.follow(await second.session(name).turn(id));
  expect([again.text, again.tools]).toEqual(["Let me look. Done.", ["Read"]]);
  expect(again.events).toEqual(all);
});

test("turn.toResponse(): replays a turn whose messages were evicted from memory", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.toolUse("Read", { file_path: turn.prompt });
      await turn.text(`You said: ${turn.prompt}`);
    },
  });
  const page = new Page();
  const id = await scene.session.enqueue("first");
  await page.follow(await scene.session.turn(id), "You said");
  for (let n = 0; n < 17; n++) await query(scene.name, `${n}`);
  await ticks(1);
  const turn = await scene.session.turn(id);
  expect(turn?.recalled).toBe(true);
  await page.follow(turn);
  expect(page.events.slice(-4)).toEqual(["retry", "tool_use", "text", "result"]);
  expect([page.text, page.tools]).toEqual(["You said: first", ["Read"]]);
  expect(await Array.fromAsync(turn?.toolUses() ?? [])).toMatchObject([
    { name: "Read", input: { file_path: "first" } },
  ]);
});

test.each(["fail", "retry_if_untouched"] as const)(
  "turn.toResponse(): replays what is known of a turn that the stop cut, then EVENTS_LOST (%s)",
  async (onInterruptedTurn) => {
    const both = setUp(async (turn) => {
      await turn.text("I look. ");
      await turn.toolUse("Read", { file_path: "/x" });
      await turn.partial("And");
      await turn.hang();
    });
    const name = unique();
    const [seen, fresh] = [new Page(), new Page()];
    const first = await run(both, [{ name, onInterruptedTurn }]);
    const id = await first.session(name).enqueue("go");
    await seen.follow(await first.session(name).turn(id), "And");
    await first.stop();
    await using second = await run(both, [{ name, onInterruptedTurn }]);
    const turn = await second.session(name).turn(id);
    expect(turn).toMatchObject({ state: "interrupted", recalled: true });
    await failure(turn?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
    await failure(Array.fromAsync(turn ?? []), "TURN_INTERRUPTED");
    await seen.follow(turn);
    await fresh.follow(turn);
    const end = ["lost EVENTS_LOST", "error TURN_INTERRUPTED"];
    expect(fresh.events.slice(-2)).toEqual(end);
    expect(seen.events.slice(-2)).toEqual(end);
    expect(seen.events).toContain("retry");
    expect(seen.text).toBe(fresh.text);
    // After one more restart the journal gives the same answer.
    await second.stop();
    await using third = await run(both, [{ name, onInterruptedTurn }]);
    const later = new Page();
    await later.follow(await third.session(name).turn(id));
    expect([later.events, later.text]).toEqual([fresh.events, fresh.text]);
  },
);

test("turn.toResponse(): streams a turn that is asked for by its key after a restart", async () => {
  const both = setUp(async (turn) => {
    await turn.toolUse("Read", { file_path: "/x" });
    await turn.text("Done.");
  });
  const name = unique();
  const first = await run(both, [{ name }]);
  await first.query(name, "go", { idempotencyKey: "k" });
  await first.stop();
  await using second = await run(both, [{ name }]);
  // `recalled` is unknown until the journal has answered.
  const turns = Array.from({ length: 4 }, () => second.stream(name, "go", { idempotencyKey: "k" }));
  expect(turns[0]?.recalled).toBe(false);
  const page = new Page();
  await page.follow(turns[0]);
  expect(page.events).toEqual(["tool_use", "text", "result"]);
  expect(await turns[1]?.toUIMessageStreamResponse().text()).toContain('"toolName":"Read"');
  const fourth = turns[3];
  expect(await Array.fromAsync(turns[2]?.text() ?? [])).toEqual(["Done."]);
  expect((await Array.fromAsync(fourth?.toolUses() ?? [])).map(({ name }) => name)).toEqual(["Read"]);
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).toEqual(["go"]);
});
