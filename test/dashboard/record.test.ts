import { describe, expect, test } from "vitest";
import { contentParts } from "../../src/page/store/content-parts.ts";
import { itemsOf } from "../../src/page/store/record-items.ts";
import { Admission, EVENT_GROUPS, recordQuery, recordViewOf, typesOf } from "../../src/page/store/record-view.ts";
import { EMPTY_TIMELINE, MOST_EVENTS, withNew, withNewer, withOlder, written } from "../../src/page/store/timeline.ts";
import { toolInputOf } from "../../src/page/store/tool-input.ts";
import { recordedTypes } from "../../src/wire/event.ts";
import type { RecordedEvent, RecordedEventFields, SessionEvent } from "../../src/wire/event-types.ts";

function event<Type extends keyof RecordedEventFields>(
  number: number,
  type: Type,
  fields: RecordedEventFields[Type] & { readonly turnId?: string; readonly parent?: string },
): RecordedEvent {
  const built: object = { v: 1, number, at: number, type, ...fields };
  return built as RecordedEvent;
}

const text = (number: number): RecordedEvent => event(number, "text", { text: `t${number}`, block: `b${number}` });
const texts = (first: number, last: number): RecordedEvent[] =>
  Array.from({ length: last - first + 1 }, (_, index) => text(first + index));
const use = (number: number, id: string, name = "Bash"): RecordedEvent =>
  event(number, "tool_use", { id, name, input: { description: `task ${id}` }, turnId: "t" });
const result = (number: number, toolUseId: string, failed = false): RecordedEvent =>
  event(number, "tool_result", { toolUseId, output: "ok", failed, turnId: "t" });

describe("the timeline", () => {
  const numbers = ({ events }: typeof EMPTY_TIMELINE): number[] => events.map(({ number }) => number);

  test("older pages come before, newer ones and new events behind, each once", () => {
    const first = withOlder(EMPTY_TIMELINE, texts(11, 12), 11);
    const followed = withNew(first, [text(12), text(13), text(13)]);
    const whole = withOlder(followed, texts(9, 11), null);
    expect([numbers(whole), whole.before, whole.after]).toEqual([[9, 10, 11, 12, 13], undefined, undefined]);
    expect(numbers(withNewer({ ...whole, after: 13 }, texts(13, 15), undefined))).toEqual([9, 10, 11, 12, 13, 14, 15]);
  });

  test("new events wait while an older part is shown", () => {
    const part = { ...withOlder(EMPTY_TIMELINE, texts(1, 5), null), after: 5 };
    expect(withNew(part, [text(9)])).toBe(part);
    const next = withNewer(part, texts(6, 8), undefined);
    expect(numbers(withNew(next, [text(9)]))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("a hundred thousand events, in either direction, leave a bounded timeline whose rest can be read again", () => {
    let live = EMPTY_TIMELINE;
    let back = { ...EMPTY_TIMELINE, before: 100_001 as number | undefined };
    for (let at = 0; at < 1_000; at++) {
      live = withNew(live, texts(at * 100 + 1, at * 100 + 100));
      const first = 100_000 - at * 100 - 99;
      back = withOlder(back, texts(first, first + 99), first === 1 ? null : first);
      expect(Math.max(live.events.length, back.events.length)).toBeLessThanOrEqual(MOST_EVENTS + 100);
    }
    expect([live.events.at(-1)?.number, live.before, live.after]).toEqual([100_000, live.events[0]?.number, undefined]);
    expect([back.events[0]?.number, back.before, back.after]).toEqual([1, undefined, MOST_EVENTS]);
    const on = withNewer(back, texts(MOST_EVENTS + 1, MOST_EVENTS + 100), MOST_EVENTS + 100);
    expect([on.events[0]?.number, on.before, on.after]).toEqual([101, 101, MOST_EVENTS + 100]);
  });

  test("deltas grow until their text comes; a cut turn takes them away", () => {
    const delta = (words: string, block: string): SessionEvent => ({
      at: 1,
      after: 1,
      type: "text_delta",
      text: words,
      block,
    });
    const writing = written(new Map(), [delta("Hel", "x"), delta("lo", "x"), delta("?", "y")]);
    expect([...writing.values()].map((one) => one.text)).toEqual(["Hello", "?"]);
    expect([...written(writing, [event(1, "text", { text: "Hello", block: "x" })]).keys()]).toEqual(["y"]);
    const exit = event(1, "exit", { exit: { class: "crash", message: "crashed", at: 1 } });
    expect(written(writing, [exit]).size).toBe(0);
  });
});

describe("the items of a record", () => {
  test("a result completes the use of its tool; without the use it has a place of its own", () => {
    const items = itemsOf([use(1, "a"), result(2, "a"), result(3, "b", true)], true);
    expect(items.map(({ event: { number }, state }) => [number, state])).toEqual([
      [1, "done"],
      [3, "failed"],
    ]);
    expect(items[0]?.result?.number).toBe(2);
  });

  test("a tool without a result runs, was cut, or is unknown if later events are missing", () => {
    const stateOf = (events: RecordedEvent[], live: boolean) => itemsOf(events, live)[0]?.state;
    const ended = event(2, "turn_ended", { state: "interrupted", turnId: "t" });
    const exit = event(2, "exit", { exit: { class: "crash", message: "", at: 2 } });
    expect(stateOf([use(1, "a")], true)).toBe("running");
    expect(stateOf([use(1, "a")], false)).toBe("unknown");
    expect(stateOf([use(1, "a"), ended], true)).toBe("cut");
    expect(stateOf([use(1, "a"), exit], true)).toBe("cut");
  });

  test("the end of an approval completes it; an open one waits", () => {
    const asked = event(1, "approval_requested", { id: "p", tool: "Bash", input: {}, suggestions: [], expiresAt: 9 });
    const settled = event(2, "approval_settled", { id: "p", outcome: "approved", by: "ann" });
    expect(itemsOf([asked], true)).toMatchObject([{ state: "asking", settled: undefined }]);
    expect(itemsOf([asked], false)).toMatchObject([{ state: "unknown" }]);
    const askedFor = { ...asked, toolUseId: "a", number: 2 } as RecordedEvent;
    expect(itemsOf([use(1, "a"), askedFor], true).map(({ state }) => state)).toEqual(["asking", "asking"]);
    expect(itemsOf([use(1, "a"), askedFor, { ...settled, number: 3 }], true)[0]?.state).toBe("running");
    expect(itemsOf([asked, settled], true)).toMatchObject([{ state: "done", settled: { by: "ann" } }]);
    expect(itemsOf([settled], true)).toMatchObject([{ event: { type: "approval_settled" } }]);
  });

  test("events of a subagent have its task, and those of a turn their place in it", () => {
    const inner = event(2, "text", { text: "x", block: "b", parent: "a", turnId: "t" });
    const orphan = event(3, "text", { text: "x", block: "c", parent: "z" });
    const items = itemsOf([use(1, "a", "Task"), inner, orphan, { ...text(4), turnId: "u" } as RecordedEvent], false);
    expect(items.map(({ subagent }) => subagent)).toEqual([undefined, "task a", "subagent", undefined]);
    expect(items.map(({ turn }) => turn)).toEqual(["first", "last", "", "only"]);
  });
});

describe("the view of a record", () => {
  const view = (query: string) => recordViewOf(new URLSearchParams(query));

  test.each(["", "?show=texts", "?show=tools,costs&failed=1", "?failed=1&paused=1", "?x=1&paused=1"])(
    "%s is the same after a round trip",
    (query) => expect(recordQuery(view(query), query)).toBe(query),
  );

  test("ignores what it does not know", () => {
    expect(view("?show=nothing,tools,<b>")).toEqual({ groups: ["tools"], failed: false, paused: false });
  });

  test("every type of event can be shown", () => {
    expect(new Set(typesOf({ groups: EVENT_GROUPS, failed: false, paused: false }))).toEqual(new Set(recordedTypes));
  });

  test("only what failed: with the use of a failed tool, whichever comes first", () => {
    const events = [use(1, "a"), result(2, "a", true), use(3, "b"), result(4, "b")];
    const shown = (parts: RecordedEvent[][]): number[] => {
      const admission = new Admission(view("?failed=1"));
      return parts.flatMap((part) => admission.admit(part).map(({ number }) => number));
    };
    expect(shown([events])).toEqual([1, 2]);
    expect(shown(events.map((one) => [one]))).toEqual([1, 2]);
    // As pages backwards.
    expect(shown(events.map((one) => [one]).reverse())).toEqual([2, 1]);
    const ends = [
      event(5, "turn_ended", { state: "completed", turnId: "t" }),
      event(6, "turn_ended", { state: "failed", turnId: "t" }),
      event(7, "exit", { exit: { class: "done", message: "", at: 1 } }),
      event(8, "exit", { exit: { class: "crash", message: "", at: 1 } }),
    ];
    expect(shown([ends])).toEqual([6, 8]);
  });
});

describe("parts of contents", () => {
  const stored = (mediaType: string) => ({ $content: "h", size: 3, mediaType });
  const image = (mediaType: string) => ({
    type: "image",
    source: { type: "base64", media_type: mediaType, data: stored(mediaType) },
  });

  test("texts, blocks, images, and what is stored apart", () => {
    expect(contentParts("x")).toEqual([{ kind: "text", text: "x" }]);
    expect(contentParts([{ type: "text", text: "x" }, image("image/png")])).toEqual([
      { kind: "text", text: "x" },
      { kind: "image", type: "image/png", content: stored("image/png") },
    ]);
    expect(contentParts(stored("text/plain"))).toEqual([{ kind: "stored", content: stored("text/plain") }]);
    expect(contentParts([1, "x"])).toMatchObject([{ kind: "json" }]);
    expect([contentParts(""), contentParts([])]).toMatchObject([[], [{ kind: "json" }]]);
  });

  test.each([
    { $content: "h" },
    { $content: "h", size: "3", mediaType: "text/plain" },
    { $content: "h", size: 3, mediaType: null },
    { $content: null, size: 3, mediaType: "text/plain" },
  ])("%j, which Claude may write, names no content", (value) => {
    const json = { kind: "json", text: JSON.stringify(value, null, 2) };
    expect(contentParts(value)).toEqual([json]);
    const { parts } = toolInputOf("Task", { prompt: value });
    expect(parts.map(({ kind }) => kind)).toEqual(["fields"]);
    expect(contentParts([{ type: "text", text: value }])).toMatchObject([{ kind: "json" }]);
  });

  test.each(["image/svg+xml", "image/png; x", "text/html", "IMAGE/PNG", ""])("%s is not shown as an image", (type) => {
    expect(contentParts([image(type)])).toEqual([{ kind: "stored", content: stored(type) }]);
  });
});
