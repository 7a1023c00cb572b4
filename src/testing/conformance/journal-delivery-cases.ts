import { deepEqual } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { DeliveryEntry } from "../../journal/model/delivery-entry.ts";
import { ALL_EVENTS, appending, event, type JournalCases, UNUSUAL } from "./journal-case.ts";

function delivery(session: string, changed: Partial<DeliveryEntry> = {}): DeliveryEntry {
  return { session, endpoint: "e", supervisor: "s", after: 0, at: 1_700_000_000_000, ...changed };
}

function due(...deliveries: readonly DeliveryEntry[]): Change[] {
  return deliveries.map((one): Change => ({ type: "delivery_due", delivery: one }));
}

const advanced = (session: string, after: number, at: number, endpoint = "e"): Change => ({
  type: "delivery_advanced",
  session,
  endpoint,
  after,
  at,
});

const done = (session: string, endpoint = "e"): Change => ({ type: "delivery_done", session, endpoint });

/** The cases about deliveries. */
export const DELIVERY_CASES: JournalCases = {
  "keeps how far a receiver has got, until it lacks nothing": async ({ journal, write, reopen }) => {
    await write(...due(delivery('"a"', { after: 4 })), ...appending(event(1)));
    await reopen();
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 4 })]);
    await write(advanced('"a"', 7, 1_700_000_000_500.5));
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 7, at: 1_700_000_000_500.5 })]);
    await write(advanced('"unknown"', 7, 1), done('"unknown"'), done('"a"', "another"));
    await reopen();
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 7, at: 1_700_000_000_500.5 })]);
    await write(done('"a"'));
    deepEqual(await journal.deliveries({ limit: 10 }), []);
  },

  "a delivery that is due again keeps the lower number and the later time, and gets the supervisor": async ({
    journal,
    write,
  }) => {
    await write(...due(delivery('"a"', { after: 4 })));
    await write(...due(delivery('"a"', { after: 9, at: 5, supervisor: "t" })));
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 4, supervisor: "t" })]);
    await write(...due(delivery('"a"', { after: 2, at: 1_800_000_000_000, supervisor: "t" })));
    const last = delivery('"a"', { after: 2, at: 1_800_000_000_000, supervisor: "t" });
    deepEqual(await journal.deliveries({ limit: 10 }), [last]);
  },

  "applies the changes of a delivery in one batch in their order": async ({ journal, write }) => {
    const first = delivery('"a"');
    await write(...due(first), done('"a"'), ...due(delivery('"a"', { after: 3 })), advanced('"a"', 5, 6));
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 5, at: 6 })]);
    await write(...due(first), { type: "session_forgotten", session: '"a"' }, ...due(delivery('"a"', { after: 1 })));
    deepEqual(await journal.deliveries({ limit: 10 }), [delivery('"a"', { after: 1 })]);
    await write(done('"a"'), ...due(delivery('"b"')), done('"b"'));
    deepEqual(await journal.deliveries({ limit: 10 }), []);
  },

  "returns deliveries by session and endpoint, in pages": async ({ journal, write }) => {
    const all = [
      delivery('"a"', { endpoint: "B" }),
      delivery('"a"', { endpoint: "a" }),
      delivery('"b"', { supervisor: "t" }),
      delivery('["a",1]'),
      delivery(UNUSUAL, { endpoint: UNUSUAL, supervisor: UNUSUAL }),
    ];
    await write(...due(...all.toReversed()));
    deepEqual(await journal.deliveries({ limit: 10 }), all);
    deepEqual(await journal.deliveries({ limit: 2 }), all.slice(0, 2));
    deepEqual(await journal.deliveries({ limit: 2, after: { session: '"a"', endpoint: "a" } }), all.slice(2, 4));
    deepEqual(await journal.deliveries({ limit: 9, after: { session: '"a"', endpoint: "C" } }), all.slice(1));
    deepEqual(await journal.deliveries({ limit: 9, supervisor: "t" }), all.slice(2, 3));
    deepEqual(await journal.deliveries({ limit: 9, supervisor: UNUSUAL }), all.slice(4));
    deepEqual(await journal.deliveries({ limit: 9, sessions: ['"b"', UNUSUAL, "unknown"] }), [all[2], all[4]]);
    deepEqual(await journal.deliveries({ limit: 9, sessions: [] }), []);
    deepEqual(await journal.deliveries({ limit: 0 }), []);
  },

  "forgets and erases the deliveries of a session with it": async ({ journal, write }) => {
    const names = ['"a"', '"b"', '"c"'];
    await write(...due(...names.flatMap((name) => [delivery(name), delivery(name, { endpoint: "f" })])));
    await write({ type: "session_forgotten", session: '"a"' });
    await write({ type: "session_erased", session: '"b"', as: '"gone"' });
    deepEqual(await journal.deliveries({ limit: 9 }), [delivery('"c"'), delivery('"c"', { endpoint: "f" })]);
  },

  "prunes deliveries that were written long ago": async ({ journal, write }) => {
    await write(...due(delivery('"old"', { at: 99 }), delivery('"new"', { at: 100 }), delivery('"moved"', { at: 1 })));
    await write(advanced('"moved"', 3, 200));
    const kept = [delivery('"moved"', { after: 3, at: 200 }), delivery('"new"', { at: 100 })];
    await journal.prune({ endedSince: 100, turnsPerSession: 10, events: ALL_EVENTS });
    deepEqual(await journal.deliveries({ limit: 9 }), kept);
  },
};
