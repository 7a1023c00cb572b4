import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { AcceptedTurn } from "../../journal/model/turn-entry.ts";
import {
  ALL_EVENTS,
  conversation,
  costs,
  type JournalCases,
  ordered,
  SPENDER,
  session,
  spent,
  turn,
} from "./journal-case.ts";

/** The cases about sessions: their conversations, approvals and erasure. */
export const SESSION_CASES: JournalCases = {
  "keeps the last saved state of a session": async ({ journal, write }) => {
    await write({ type: "session_saved", session: session('"a"', { conversationId: "c1" }) });
    const later = session('"a"', { conversationId: "c2", memory: { kind: "kept", at: null, list: [1, "two", true] } });
    await write({ type: "session_saved", session: later });
    deepEqual(await journal.sessions(['"a"']), [later]);
  },

  "returns each requested session once": async ({ journal, write }) => {
    const known = Array.from({ length: 600 }, (_, n) => session(`["${n}",'%_]`, { conversationId: `c${n}` }));
    await write(...known.map((one): Change => ({ type: "session_saved", session: one })));
    const keys = known.map(({ key }) => key);
    const asked = async (...wanted: string[]): Promise<SessionEntry[]> =>
      (await journal.sessions(wanted)).toSorted((one, other) => keys.indexOf(one.key) - keys.indexOf(other.key));
    deepEqual(await asked(...keys.slice(50, 550)), known.slice(50, 550));
    deepEqual(await asked("unknown", ...keys.slice(2, 4), `["2"`, ...keys.slice(3, 5), ""), known.slice(2, 5));
    deepEqual(await asked("unknown", "%"), []);
    deepEqual(await asked(), []);
  },

  "keeps approvals and the first answer to each": async ({ journal, write }) => {
    const asked = (id: string, requestedAt: number): Change => ({
      type: "approval_requested",
      approval: { id, session: '"a"', tool: "Bash", input: { command: "ls", deep: [{ n: null }] }, requestedAt },
    });
    await write(asked("a1", 1), asked("a2", 2), asked("a3", 2));
    await write({ type: "approval_settled", approval: "a1", outcome: "approved", at: 7 });
    await write({ type: "approval_settled", approval: "a1", outcome: "denied", at: 8 });
    const found = await journal.approvals('"a"', 2);
    deepEqual(
      found.map(({ id }) => id),
      ["a3", "a2"],
    );
    const [, , first] = await journal.approvals('"a"', 10);
    deepEqual(first, {
      id: "a1",
      session: '"a"',
      tool: "Bash",
      input: { command: "ls", deep: [{ n: null }] },
      requestedAt: 1,
      outcome: "approved",
      settledAt: 7,
    });
    deepEqual(await journal.approvals('"b"', 10), []);
  },

  "forgets a session and keeps its spending": async ({ journal, write }) => {
    await write(
      { type: "session_saved", session: session('"a"') },
      { type: "turn_accepted", turn: turn("t1") },
      { type: "turn_accepted", turn: turn("t2", { session: '"b"' }) },
      { type: "approval_requested", approval: { id: "x", session: '"a"', tool: "T", input: {}, requestedAt: 1 } },
      { type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] },
    );
    await write({ type: "session_forgotten", session: '"a"' });
    deepEqual(await journal.sessions(['"a"']), []);
    equal(await journal.turn("t1"), undefined);
    deepEqual(await journal.unfinishedTurns(['"a"']), []);
    deepEqual(await journal.approvals('"a"', 10), []);
    equal((await journal.turn("t2"))?.session, '"b"');
    equal((await journal.usage({ by: [] }))[0]?.costUsd, 1);
  },

  "keeps the conversations that a session has left, in order, until they are erased": async ({
    journal,
    write,
    reopen,
  }) => {
    const left = [
      conversation("c1", { leftAt: 3 }),
      conversation("c2", { memory: { place: "/one", deep: [{ n: null }] }, leftAt: 1 }),
      conversation("c1", { memory: { place: "/two" }, leftAt: 2 }),
    ];
    await write(...left.map((one): Change => ({ type: "conversation_left", conversation: one })));
    await write({ type: "conversation_left", conversation: conversation("c1", { session: '"b"' }) });
    deepEqual(await journal.conversations('"a"'), left);
    await write({ type: "session_saved", session: session('"a"', { conversationId: "c3" }) });
    await reopen();
    deepEqual(await journal.conversations('"a"'), left);
    await write({ type: "conversation_erased", session: '"a"', conversationId: "c1" });
    deepEqual(await journal.conversations('"a"'), [left[1]]);
    deepEqual(await journal.conversations('"b"'), [conversation("c1", { session: '"b"' })]);
    await write({ type: "session_forgotten", session: '"b"' });
    deepEqual(await journal.conversations('"b"'), []);
  },

  "returns all turns and approvals of a session in the order of their writes": async ({ journal, write }) => {
    const ids = Array.from({ length: 120 }, (_, n) => `t${n}`);
    const others = ids.map((id) => turn(`${id} of b`, { session: '"b"' }));
    await write(...ids.map((id, n): Change => ({ type: "turn_accepted", turn: turn(id, { position: -n }) })));
    await write(...others.map((one): Change => ({ type: "turn_accepted", turn: one })));
    await write(
      { type: "turn_begun", turn: "t7", promptId: "p", attempt: 1 },
      { type: "turn_ended", turn: "t7", state: "completed", at: 5, outcome: { reply: 1 } },
      { type: "turn_withdrawn", turn: "t8" },
    );
    const asked = ["a2", "a1"].map((id) => ({ id, session: '"a"', tool: "T", input: { id }, requestedAt: 1 }));
    await write(...asked.map((approval): Change => ({ type: "approval_requested", approval })));
    await write({ type: "approval_settled", approval: "a1", outcome: "denied", at: 2 });
    const records = await Array.fromAsync(journal.records('"a"'));
    const found = records.map((record) =>
      record.type === "turn" ? record.turn.id : record.type === "approval" ? record.approval.id : record.job.id,
    );
    deepEqual(found, [...ids.filter((id) => id !== "t8"), "a2", "a1"]);
    deepEqual(records[7], { type: "turn", turn: await journal.turn("t7") });
    deepEqual(records.slice(-2), [
      { type: "approval", approval: asked[0] },
      { type: "approval", approval: { ...asked[1], outcome: "denied", settledAt: 2 } },
    ]);
    deepEqual(await journal.extent('"a"'), { turns: 119, approvals: 2, events: 0 });
    deepEqual(await journal.extent('"b"'), { turns: 120, approvals: 0, events: 0 });
  },

  "erases a session and keeps its spending under another key": async ({ journal, write, reopen }) => {
    const [day1, day2] = ["2026-01-01", "2026-01-02"] as const;
    const other: AcceptedTurn = turn("t2", { session: '"b"' });
    await write(
      { type: "session_saved", session: session('"a"') },
      { type: "turn_accepted", turn: turn("t1") },
      { type: "turn_begun", turn: "t1", promptId: "p", attempt: 1 },
      { type: "turn_accepted", turn: other },
      { type: "approval_requested", approval: { id: "x", session: '"a"', tool: "T", input: {}, requestedAt: 1 } },
      { type: "conversation_left", conversation: conversation("c1") },
      { type: "spent", ...SPENDER, day: day1, models: [spent("m", 1), spent("n", 2)] },
      { type: "spent", ...SPENDER, day: day2, models: [spent("m", 4)] },
      { type: "spent", supervisor: "s", session: '"b"', day: day1, models: [spent("m", 8)] },
    );
    const before = await journal.usage({ by: ["supervisor", "day", "model"] });
    await write({ type: "session_erased", session: '"a"', as: '["erased","1"]' });
    await reopen();
    deepEqual(await journal.sessions(['"a"']), []);
    equal(await journal.turn("t1"), undefined);
    deepEqual(await journal.unfinishedBeginning(""), ['"b"']);
    deepEqual(await journal.unfinishedTurns(['"a"']), []);
    deepEqual(await journal.approvals('"a"', 10), []);
    deepEqual(await journal.conversations('"a"'), []);
    deepEqual(await Array.fromAsync(journal.records('"a"')), []);
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0, events: 0 });
    equal((await journal.turn("t2"))?.session, '"b"');
    deepEqual(ordered(await journal.usage({ by: ["supervisor", "day", "model"] })), ordered(before));
    deepEqual(await costs(journal), [
      ['["erased","1"]', 7],
      ['"b"', 8],
    ]);
    deepEqual(await journal.usage({ by: [], session: '"a"' }), []);
  },

  "erases a session repeatedly, each time under another key": async ({ journal, write }) => {
    const spend: Change = { type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] };
    const erase = (as: string): Change => ({ type: "session_erased", session: '"a"', as });
    await write(spend, erase('"e1"'), spend, spend, erase('"e2"'), erase('"e3"'), spend);
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "anew" }) });
    await write({ type: "spent", supervisor: "s", session: '"b"', day: "2026-01-01", models: [spent("m", 8)] });
    await write({ type: "session_erased", session: '"b"', as: '"e4"' });
    deepEqual(await costs(journal), [
      ['"a"', 1],
      ['"e1"', 1],
      ['"e2"', 2],
      ['"e4"', 8],
    ]);
    equal((await journal.turn("t1"))?.prompt, "anew");
  },

  "keeps all other entries when it expunges erased ones": async ({ journal, write }) => {
    await write(
      { type: "turn_accepted", turn: turn("t1") },
      { type: "turn_accepted", turn: turn("t2", { session: '"b"' }) },
    );
    await write({ type: "session_erased", session: '"a"', as: '"e"' });
    // Writes continue during the rewrite.
    const writes = ["t3", "t4"].map((id) => () => write({ type: "turn_accepted", turn: turn(id) }));
    const expunged = [journal.expunge?.(true), journal.expunge?.(true), journal.expunge?.(false)];
    for (const next of writes) await next();
    await Promise.all(expunged);
    const found = await Promise.all(["t1", "t2", "t3", "t4"].map((id) => journal.turn(id)));
    deepEqual(
      found.map((entry) => entry?.id),
      [undefined, "t2", "t3", "t4"],
    );
  },

  "prunes old settled approvals": async ({ journal, write }) => {
    const ask = (id: string): Change => ({
      type: "approval_requested",
      approval: { id, session: '"a"', tool: "T", input: {}, requestedAt: 1 },
    });
    await write(ask("old"), ask("new"), ask("open"));
    await write(
      { type: "approval_settled", approval: "old", outcome: "denied", at: 5 },
      { type: "approval_settled", approval: "new", outcome: "denied", at: 50 },
    );
    await journal.prune({ endedSince: 10, turnsPerSession: 10, events: ALL_EVENTS });
    deepEqual(
      (await journal.approvals('"a"', 9)).map(({ id }) => id),
      ["open", "new"],
    );
  },
};
