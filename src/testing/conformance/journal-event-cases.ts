import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { EventEntry, EventQuery, EventRetention } from "../../journal/model/event-entry.ts";
import type { Journal } from "../../journal/model/journal.ts";
import {
  ALL_EVENTS,
  appending,
  appendingWith,
  content,
  event,
  type JournalCases,
  refuses,
  turn,
  UNUSUAL,
} from "./journal-case.ts";

/** Returns events with these numbers. */
function events(from: number, to: number, changed: Partial<EventEntry> = {}): EventEntry[] {
  return Array.from({ length: to - from + 1 }, (_, n) => event(from + n, changed));
}

async function numbers(journal: Journal, query: Partial<EventQuery> = {}): Promise<number[]> {
  return (await journal.events({ session: '"a"', limit: 1_000, ...query })).map(({ number }) => number);
}

/** Deletes events only. */
async function prune(journal: Journal, retention: Partial<EventRetention>): Promise<void> {
  await journal.prune({
    endedSince: 0,
    turnsPerSession: Number.POSITIVE_INFINITY,
    events: { ...ALL_EVENTS, ...retention },
  });
}

const range = (from: number, to: number): number[] => events(from, to).map(({ number }) => number);

/** The cases about events and their contents. */
export const EVENT_CASES: JournalCases = {
  "keeps the events of a session in the order of their numbers": async ({ journal, write, reopen }) => {
    const first = event(1, {
      turn: "t1",
      type: "turn_started",
      body: { attempt: 1, deep: [{ n: null }, "two", true] },
    });
    const others = events(2, 5);
    await write(...appending(first, ...others.slice(0, 2)));
    await write(...appending(...others.slice(2)));
    deepEqual(await journal.events({ session: '"a"', limit: 10 }), [first, ...others]);
    await reopen();
    deepEqual(await journal.events({ session: '"a"', limit: 10 }), [first, ...others]);
    await write(...appending(event(6)));
    deepEqual(await numbers(journal), range(1, 6));
    deepEqual(await numbers(journal, { session: '"b"' }), []);
  },

  "keeps the events of sessions apart": async ({ journal, write }) => {
    const b = { session: '"b"', body: { text: "of b" } };
    await write(...appending(event(1), event(1, b), event(2, b)), ...appending(event(2), event(3, b)));
    deepEqual(await journal.events({ session: '"a"', limit: 10 }), events(1, 2));
    deepEqual(await journal.events({ session: '"b"', limit: 10 }), events(1, 3, b));
    deepEqual(await journal.eventExtent('"a"'), { first: 1, last: 2, bytes: 36 });
    deepEqual(await journal.eventExtent('"b"'), { first: 1, last: 3, bytes: 45 });
    deepEqual(await journal.extent('"b"'), { turns: 0, approvals: 0, events: 3 });
  },

  "ignores an event whose number the log has passed": async ({ journal, write }) => {
    const [kept, ignored] = [content("kept"), content("ignored")];
    const other = { body: { text: "another" }, type: "other" };
    await write(appendingWith(event(1), kept), ...appending(event(2), event(2, other), event(1, other)));
    const before = await journal.eventExtent('"a"');
    await write(appendingWith(event(2, other), ignored), appendingWith(event(1, other), ignored));
    await write(...appending(event(3), event(3, other)));
    deepEqual(await journal.events({ session: '"a"', limit: 10 }), [
      { ...event(1), contents: [kept.hash] },
      event(2),
      event(3),
    ]);
    equal(await journal.content(ignored.hash), undefined);
    deepEqual(before, { first: 1, last: 2, bytes: 40 });
    equal((await journal.eventExtent('"a"'))?.bytes, 58);
  },

  "accepts an event after a gap, which stays visible": async ({ journal, write }) => {
    await write(...appending(event(3), event(4), event(9)));
    deepEqual(await numbers(journal), [3, 4, 9]);
    const extent = await journal.eventExtent('"a"');
    deepEqual([extent?.first, extent?.last], [3, 9]);
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0, events: 3 });
  },

  "refuses an event without a positive integer as its number, and the batch with it": async ({ journal }) => {
    for (const number of [0, -1, 1.5, Number.NaN, 2 ** 32]) {
      const changes: Change[] = [{ type: "turn_accepted", turn: turn("t1") }, ...appending(event(1), event(number))];
      const refused = { reason: "refused", applied: false };
      await refuses("JOURNAL_UNAVAILABLE", () => journal.write({ number: 1, changes, durable: false }), refused);
    }
    equal(await journal.turn("t1"), undefined);
    equal(await journal.eventExtent('"a"'), undefined);
    await journal.write({ number: 1, changes: appending(event(1)), durable: false });
    deepEqual(await numbers(journal), [1]);
  },

  "appends an event once, however often its batch is written": async ({ journal }) => {
    const changes = [appendingWith(event(1), content("one")), ...appending(event(2))];
    await journal.write({ number: 1, changes, durable: false });
    await journal.write({ number: 1, changes, durable: true });
    deepEqual(await numbers(journal), [1, 2]);
    equal((await journal.eventExtent('"a"'))?.bytes, 39);
  },

  "returns pages of events forwards and backwards": async ({ journal, write }) => {
    await write(...appending(...events(1, 25)));
    deepEqual(await numbers(journal, { limit: 10 }), range(1, 10));
    deepEqual(await numbers(journal, { after: 10, limit: 10 }), range(11, 20));
    deepEqual(await numbers(journal, { after: 20, limit: 10 }), range(21, 25));
    deepEqual(await numbers(journal, { after: 25, limit: 10 }), []);
    deepEqual(await numbers(journal, { after: 1_000 }), []);
    deepEqual(await numbers(journal, { before: Number.POSITIVE_INFINITY, limit: 10 }), range(16, 25).reverse());
    deepEqual(await numbers(journal, { before: 16, limit: 10 }), range(6, 15).reverse());
    deepEqual(await numbers(journal, { before: 6, limit: 10 }), range(1, 5).reverse());
    deepEqual(await numbers(journal, { before: 1, limit: 10 }), []);
    deepEqual(await numbers(journal, { after: 3, before: 8 }), range(4, 7).reverse());
    deepEqual(await numbers(journal, { limit: 0 }), []);
  },

  "returns at most a thousand events in a page": async ({ journal, write }) => {
    await write(...appending(...events(1, 1_200)));
    deepEqual(await numbers(journal, { limit: 5_000 }), range(1, 1_000));
    deepEqual(await numbers(journal, { before: 1_201, limit: Number.POSITIVE_INFINITY }), range(201, 1_200).reverse());
  },

  "ends a page of large events early, and returns an event that is larger than a page": async ({ journal, write }) => {
    const size = 300_000;
    const large = events(1, 7).map((one) => ({
      ...one,
      body: { text: "x".repeat(one.number === 7 ? 4 * size : size) },
    }));
    await write(...appending(...large));
    deepEqual(await numbers(journal), [1, 2, 3]);
    deepEqual(await numbers(journal, { after: 3 }), [4, 5, 6]);
    deepEqual(await journal.events({ session: '"a"', after: 6, limit: 10 }), [large[6]]);
    deepEqual(await numbers(journal, { before: 8 }), [7]);
    deepEqual(await numbers(journal, { before: 7 }), [6, 5, 4]);
    deepEqual(await numbers(journal, { types: ["text"] }), [1, 2, 3]);
  },

  "returns the events of some types, and of one turn": async ({ journal, write }) => {
    const types = ["text", "tool_use", "fault"];
    const mixed = events(1, 60).map((one) => ({
      ...one,
      type: types[one.number % 3] ?? "",
      ...(one.number % 5 > 0 && { turn: `t${one.number % 5}` }),
    }));
    const others = mixed.map((one) => ({ ...one, session: '"b"' }));
    await write(...mixed.flatMap((one, at): Change[] => appending(one, ...others.slice(at, at + 1))));
    const expected = (keep: (one: EventEntry) => boolean): number[] => mixed.filter(keep).map(({ number }) => number);
    const isTool = ({ type }: EventEntry): boolean => type !== "text";
    deepEqual(await numbers(journal, { types: ["tool_use", "fault"] }), expected(isTool));
    deepEqual(await numbers(journal, { types: ["fault", "tool_use"], limit: 3 }), expected(isTool).slice(0, 3));
    deepEqual(
      await numbers(journal, { types: ["fault", "tool_use", "fault"], before: 40, limit: 3 }),
      expected((one) => isTool(one) && one.number < 40)
        .slice(-3)
        .reverse(),
    );
    deepEqual(
      await numbers(journal, { turn: "t2" }),
      expected((one) => one.turn === "t2"),
    );
    deepEqual(
      await numbers(journal, { turn: "t2", types: ["text"], after: 20 }),
      expected((one) => one.turn === "t2" && one.type === "text" && one.number > 20),
    );
    deepEqual(
      await numbers(journal, { turn: "t2", before: 50, limit: 2 }),
      expected((one) => one.turn === "t2" && one.number < 50)
        .slice(-2)
        .reverse(),
    );
    deepEqual(await numbers(journal, { types: [] }), []);
    deepEqual(await numbers(journal, { types: ["other"] }), []);
    deepEqual(await numbers(journal, { turn: "other" }), []);
  },

  "stores a content once, for all events and sessions that refer to it": async ({ journal, write, reopen }) => {
    const [image, text] = [content(new Uint8Array([0, 255, 1, 254, 0]), "image/png"), content("a text")];
    const b = { session: '"b"' };
    await write(
      appendingWith(event(1, { body: { $content: image.hash, size: 5, mediaType: "image/png" } }), image, text, image),
      appendingWith(event(1, b), image),
    );
    const unnamed = content("unnamed");
    await write({ type: "event_appended", event: event(2), contents: [unnamed] });
    await reopen();
    deepEqual(await journal.content(image.hash), image);
    deepEqual(await journal.content(text.hash), text);
    equal(await journal.content(unnamed.hash), undefined);
    deepEqual((await journal.events({ session: '"a"', limit: 1 }))[0]?.contents, [image.hash, text.hash]);
    await write({ type: "session_forgotten", session: '"a"' });
    equal(await journal.content(text.hash), undefined);
    deepEqual(await journal.content(image.hash), image);
    await write({ type: "session_erased", session: '"b"', as: '"e"' });
    equal(await journal.content(image.hash), undefined);
    await write(appendingWith(event(1), image));
    deepEqual(await journal.content(image.hash), image);
  },

  "counts a content that several events of a session bring for each of them": async ({ journal, write }) => {
    const shared = content("x".repeat(1_000));
    await write(appendingWith(event(1), shared), appendingWith(event(2), shared), ...appending(event(3)));
    equal((await journal.eventExtent('"a"'))?.bytes, 3 * 18 + 2_000);
    await prune(journal, { perSession: 2 });
    equal((await journal.eventExtent('"a"'))?.bytes, 2 * 18 + 1_000);
    deepEqual(await journal.content(shared.hash), shared);
    await prune(journal, { perSession: 1 });
    equal(await journal.content(shared.hash), undefined);
  },

  "returns a content of a megabyte unchanged": async ({ journal, write, reopen }) => {
    const large = content(
      Uint8Array.from({ length: 1024 ** 2 }, (_, n) => (n * 7919) >> 3),
      "application/pdf",
    );
    await write(appendingWith(event(1), large));
    await reopen();
    deepEqual(await journal.content(large.hash), large);
    equal((await journal.eventExtent('"a"'))?.bytes, 18 + 1024 ** 2);
  },

  "returns every text of an event unchanged": async ({ journal, write, reopen }) => {
    const { hash, data } = content(UNUSUAL);
    const unusual = event(1, {
      session: UNUSUAL,
      type: UNUSUAL,
      turn: UNUSUAL,
      at: 4_102_444_800_000.5,
      body: { [UNUSUAL]: [UNUSUAL, 1e300, -1.5, 0.1, Number.MAX_SAFE_INTEGER, null], long: UNUSUAL.repeat(5_000) },
    });
    await write(appendingWith(unusual, { hash, mediaType: UNUSUAL, data }));
    await reopen();
    const expected = [{ ...unusual, contents: [hash] }];
    deepEqual(await journal.events({ session: UNUSUAL, types: ["other", UNUSUAL], turn: UNUSUAL, limit: 2 }), expected);
    deepEqual(await journal.events({ session: UNUSUAL, types: [UNUSUAL], limit: 2 }), expected);
    deepEqual(await journal.content(hash), { hash, mediaType: UNUSUAL, data });
  },

  "forgets and erases the events of a session, whose numbers then begin anew": async ({ journal, write, reopen }) => {
    const b = { session: '"b"' };
    await write(...appending(...events(1, 3), ...events(1, 3, b)));
    await write(...appending(event(4)), { type: "session_forgotten", session: '"a"' }, ...appending(event(1)));
    deepEqual(await numbers(journal), [1]);
    await write({ type: "session_erased", session: '"a"', as: '"e"' }, ...appending(event(4, b)));
    await reopen();
    deepEqual(await numbers(journal), []);
    equal(await journal.eventExtent('"a"'), undefined);
    equal(await journal.eventExtent('"e"'), undefined);
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0, events: 0 });
    deepEqual(await numbers(journal, b), range(1, 4));
    await write(...appending(...events(1, 2)));
    deepEqual(await numbers(journal), [1, 2]);
  },

  "deletes old events by age, from the lowest number on": async ({ journal, write }) => {
    await write(...appending(...events(1, 6).map((one) => ({ ...one, at: one.number * 10 }))));
    await write(...appending(event(7, { at: 5 }), event(1, { session: '"b"', at: 5 })));
    await prune(journal, { since: 30 });
    deepEqual(await numbers(journal), range(3, 7));
    deepEqual(await numbers(journal, { session: '"b"' }), []);
    const bytes = 5 * 18;
    deepEqual(await journal.eventExtent('"a"'), { first: 3, last: 7, bytes });
    deepEqual(await journal.eventExtent('"b"'), { first: 2, last: 1, bytes: 0 });
  },

  "deletes events by count and by bytes, per session": async ({ journal, write }) => {
    await write(...appending(...events(1, 1_000), ...events(1, 5, { session: '"b"' })));
    await prune(journal, { perSession: 450 });
    deepEqual(await numbers(journal), range(551, 1_000));
    deepEqual(await numbers(journal, { session: '"b"' }), range(1, 5));
    // From event 100 on, a body has 20 bytes, and from event 1000 on 21.
    await prune(journal, { bytesPerSession: 3 * 20 + 21 });
    deepEqual(await numbers(journal), range(997, 1_000));
    deepEqual(await journal.eventExtent('"a"'), { first: 997, last: 1_000, bytes: 3 * 20 + 21 });
    deepEqual(await numbers(journal, { session: '"b"' }), range(2, 5));
    await prune(journal, { bytesPerSession: 20 });
    deepEqual(await numbers(journal), []);
  },

  "continues the numbers after all events were deleted": async ({ journal, write, reopen }) => {
    await write(...appending(...events(1, 300)), appendingWith(event(301), content("large")));
    await prune(journal, { perSession: 0 });
    deepEqual(await journal.eventExtent('"a"'), { first: 302, last: 301, bytes: 0 });
    deepEqual(await numbers(journal), []);
    equal(await journal.content(content("large").hash), undefined);
    await reopen();
    await write(...appending(event(301), event(7)));
    deepEqual(await numbers(journal), []);
    await write(...appending(event(302)));
    deepEqual(await numbers(journal), [302]);
    deepEqual(await journal.eventExtent('"a"'), { first: 302, last: 302, bytes: 20 });
  },

  "appends events while it deletes others": async ({ journal, write }) => {
    await write(...appending(...events(1, 1_000)));
    const pruned = prune(journal, { perSession: 10 });
    for (let from = 1_001; from < 1_041; from += 10) await write(...appending(...events(from, from + 9)));
    await pruned;
    await prune(journal, { perSession: 10 });
    deepEqual(await numbers(journal), range(1_031, 1_040));
    deepEqual(await journal.eventExtent('"a"'), { first: 1_031, last: 1_040, bytes: 210 });
  },
};
