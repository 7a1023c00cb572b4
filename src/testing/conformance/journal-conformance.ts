import { deepEqual, equal, rejects } from "node:assert/strict";
import type { CastellanError, ErrorCode } from "../../errors.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { Journal, JournalOwner } from "../../journal/model/journal.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { AcceptedTurn } from "../../journal/model/turn-entry.ts";
import type { UsageEntry, UsageQuery } from "../../journal/model/usage-entry.ts";

/** One thing that a journal has to do. `run` rejects if it does not. */
export interface ConformanceCase {
  readonly name: string;
  /** Rejects with what the journal does wrong. */
  run(): Promise<void>;
}

/**
 * What every journal has to do, as cases for any test runner.
 *
 * @param make makes a journal that is empty and has not been opened, another one each time. The cases open and close it.
 * @example
 * for (const { name, run } of journalConformance(() => new MyJournal())) it(name, run);
 */
export function journalConformance(make: () => Journal | Promise<Journal>): readonly ConformanceCase[] {
  return Object.entries(CASES).map(([name, check]) => ({
    name,
    run: async () => {
      const journal = await make();
      await journal.open(OWNER);
      let number = 0;
      const write = (...changes: Change[]): Promise<void> => {
        number += 1;
        return journal.write({ number, changes, durable: number % 2 === 0 });
      };
      try {
        await check({ journal, write, reopen: () => reopen(journal, () => (number = 0)) });
      } finally {
        await journal.close();
      }
    },
  }));
}

interface Bench {
  readonly journal: Journal;
  /** Writes a batch, each under the next number. */
  write(...changes: Change[]): Promise<void>;
  /** Closes the journal and opens it for another owner. */
  reopen(): Promise<void>;
}

const OWNER: JournalOwner = { id: "first", pid: 101, host: "here", startedAt: 1_700_000_000_000 };
const OTHER: JournalOwner = { id: "second", pid: 102, host: "here", startedAt: 1_700_000_001_000 };

/** Half a surrogate pair, the character that many stores refuse, quotes, a path, and what looks like SQL. */
const UNUSUAL = "\uD83D|\u0000|'|\"|\\|../%_|😀|\u2028|'); DROP TABLE turns; --";

const CASES: { readonly [name: string]: (bench: Bench) => Promise<void> } = {
  "knows nothing at first": async ({ journal }) => {
    deepEqual(await journal.sessions(['"a"']), []);
    deepEqual(await journal.unfinishedBeginning(""), []);
    equal(await journal.turn("t1"), undefined);
    deepEqual(await journal.unfinishedTurns(['"a"']), []);
    deepEqual(await journal.approvals('"a"', 10), []);
    deepEqual(await journal.conversations('"a"'), []);
    deepEqual(await Array.fromAsync(journal.records('"a"')), []);
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0 });
    deepEqual(await journal.usage({ by: [] }), []);
    equal(await journal.prune({ endedSince: Number.MAX_SAFE_INTEGER, turnsPerSession: 0 }), 0);
  },

  "keeps what was saved last of a session": async ({ journal, write }) => {
    await write({ type: "session_saved", session: session('"a"', { conversationId: "c1" }) });
    const later = session('"a"', { conversationId: "c2", memory: { kind: "kept", at: null, list: [1, "two", true] } });
    await write({ type: "session_saved", session: later });
    deepEqual(await journal.sessions(['"a"']), [later]);
  },

  "tells the sessions that it is asked for, each once": async ({ journal, write }) => {
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

  "finds the sessions with turns that have not ended by the beginning of their keys, in order": async ({
    journal,
    write,
  }) => {
    const keys = ['["user",2]', '"user"', '["user",10]', '["users",1]', '["us%r",1]'];
    await write(...keys.map((key): Change => ({ type: "turn_accepted", turn: turn(`1 ${key}`, { session: key }) })));
    await write({ type: "turn_accepted", turn: turn("2", { session: '["user",2]', position: 2 }) });
    await write({ type: "session_saved", session: session('["user",3]') });
    const found = (prefix: string): Promise<string[]> => journal.unfinishedBeginning(prefix);
    deepEqual(await found('["user",'), ['["user",10]', '["user",2]']);
    deepEqual(await found('["us%'), ['["us%r",1]']);
    deepEqual(await found(""), keys.toSorted());
    await write({ type: "turn_begun", turn: '1 ["user",2]', promptId: "p", attempt: 1 });
    await write({ type: "turn_ended", turn: '1 ["user",10]', state: "completed", at: 9, outcome: {} });
    deepEqual(await found('["user",'), ['["user",2]']);
    for (const id of ["2", '1 ["user",2]']) {
      await write({ type: "turn_ended", turn: id, state: "completed", at: 9, outcome: {} });
    }
    deepEqual(await found('["user",'), []);
  },

  "takes a turn through its states": async ({ journal, write }) => {
    const accepted = turn("t1", { timeoutMs: 5_000, queueTimeoutMs: 60_000 });
    await write({ type: "turn_accepted", turn: accepted });
    deepEqual(await journal.turn("t1"), { ...accepted, state: "queued", attempts: 0, touched: false });
    await write({ type: "turn_begun", turn: "t1", promptId: "p1", attempt: 1 });
    await write({ type: "turn_touched", turn: "t1" });
    const running = { ...accepted, state: "running", attempts: 1, promptId: "p1", touched: true };
    deepEqual(await journal.turn("t1"), running);
    const outcome = { reply: { text: "yes" } };
    await write({ type: "turn_ended", turn: "t1", state: "completed", at: 99, outcome });
    deepEqual(await journal.turn("t1"), { ...running, state: "completed", endedAt: 99, outcome });
  },

  "keeps how the prompt of a turn is to be taken": async ({ journal, write, reopen }) => {
    const turns = [
      turn("text", { session: '"b"', position: 1 }),
      turn("command", { session: '"b"', position: 2, prompt: "/compact", promptKind: "command" }),
      turn("typed", { session: '"b"', position: 3, promptKind: "typed" }),
    ];
    await write(...turns.map((one): Change => ({ type: "turn_accepted", turn: one })));
    await reopen();
    deepEqual(
      await journal.unfinishedTurns(['"b"']),
      turns.map((one) => ({ ...one, state: "queued", attempts: 0, touched: false })),
    );
    deepEqual((await journal.turn("command"))?.promptKind, "command");
  },

  "begins a turn anew, untouched": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1") });
    await write({ type: "turn_begun", turn: "t1", promptId: "p1", attempt: 1 }, { type: "turn_touched", turn: "t1" });
    await write({ type: "turn_requeued", turn: "t1", position: -1 });
    const requeued = await journal.turn("t1");
    equal(requeued?.state, "queued");
    equal(requeued?.position, -1);
    await write({ type: "turn_begun", turn: "t1", promptId: "p2", attempt: 2 });
    const again = await journal.turn("t1");
    deepEqual([again?.state, again?.attempts, again?.promptId, again?.touched], ["running", 2, "p2", false]);
  },

  "takes back an attempt that does not count": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1") }, { type: "turn_accepted", turn: turn("t2") });
    await write(
      { type: "turn_begun", turn: "t1", promptId: "p1", attempt: 3 },
      { type: "turn_begun", turn: "t2", promptId: "p2", attempt: 3 },
    );
    await write(
      { type: "turn_requeued", turn: "t1", position: -1, attempts: 2 },
      { type: "turn_requeued", turn: "t2", position: -2 },
    );
    const entries = [await journal.turn("t1"), await journal.turn("t2")];
    deepEqual(
      entries.map((entry) => [entry?.state, entry?.position, entry?.attempts]),
      [
        ["queued", -1, 2],
        ["queued", -2, 3],
      ],
    );
  },

  "ends a turn once": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1") });
    await write({ type: "turn_ended", turn: "t1", state: "cancelled", at: 1, outcome: { first: true } });
    const ended = await journal.turn("t1");
    await write({ type: "turn_ended", turn: "t1", state: "completed", at: 2, outcome: { first: false } });
    await write({ type: "turn_begun", turn: "t1", promptId: "p", attempt: 7 }, { type: "turn_touched", turn: "t1" });
    await write({ type: "turn_requeued", turn: "t1", position: 9 });
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "another" }) });
    deepEqual(await journal.turn("t1"), ended);
  },

  "leaves an accepted turn as it is when it is accepted again": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "one" }) });
    await write({ type: "turn_begun", turn: "t1", promptId: "p", attempt: 1 });
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "two" }) });
    const found = await journal.turn("t1");
    deepEqual([found?.prompt, found?.state], ["one", "running"]);
  },

  "forgets a turn that is withdrawn, unless it has begun or ended": async ({ journal, write }) => {
    await write(
      { type: "turn_accepted", turn: turn("waits") },
      { type: "turn_accepted", turn: turn("runs") },
      { type: "turn_begun", turn: "runs", promptId: "p", attempt: 1 },
      { type: "turn_requeued", turn: "runs", position: 1 },
      { type: "turn_accepted", turn: turn("over") },
      { type: "turn_ended", turn: "over", state: "cancelled", at: 1, outcome: {} },
    );
    const withdrawn = ["waits", "runs", "over", "unknown"];
    await write(...withdrawn.map((id): Change => ({ type: "turn_withdrawn", turn: id })));
    const found = await Promise.all(withdrawn.map((id) => journal.turn(id)));
    deepEqual(
      found.map((entry) => entry?.id),
      [undefined, "runs", "over", undefined],
    );
    await write({ type: "turn_accepted", turn: turn("waits", { prompt: "anew" }) });
    equal((await journal.turn("waits"))?.prompt, "anew");
  },

  "does nothing to what is not there": async ({ journal, write }) => {
    await write(
      { type: "turn_begun", turn: "t1", promptId: "p", attempt: 1 },
      { type: "turn_touched", turn: "t1" },
      { type: "turn_requeued", turn: "t1", position: 1 },
      { type: "turn_ended", turn: "t1", state: "completed", at: 1, outcome: {} },
      { type: "approval_settled", approval: "a1", outcome: "denied", at: 1 },
      { type: "session_forgotten", session: '"a"' },
      { type: "session_erased", session: '"a"', as: '"gone"' },
      { type: "conversation_erased", session: '"a"', conversationId: "c" },
    );
    equal(await journal.turn("t1"), undefined);
    deepEqual(await journal.approvals('"a"', 10), []);
    deepEqual(await journal.usage({ by: ["session"] }), []);
  },

  "tells the turns that have not ended, the running one first, then by position": async ({ journal, write }) => {
    await write(
      { type: "turn_accepted", turn: turn("t3", { position: 3 }) },
      { type: "turn_accepted", turn: turn("t1", { position: 1 }) },
      { type: "turn_accepted", turn: turn("t2", { position: 2 }) },
      { type: "turn_accepted", turn: turn("front", { position: -5 }) },
      { type: "turn_accepted", turn: turn("over", { position: 0 }) },
      { type: "turn_accepted", turn: turn("other", { session: '"b"', position: 0 }) },
    );
    await write({ type: "turn_begun", turn: "t2", promptId: "p", attempt: 1 });
    await write({ type: "turn_ended", turn: "over", state: "cancelled", at: 5, outcome: {} });
    const ids = (await journal.unfinishedTurns(['"a"'])).map(({ id }) => id);
    deepEqual(ids, ["t2", "front", "t1", "t3"]);
  },

  "tells the turns that have not ended of many sessions, each once": async ({ journal, write }) => {
    const keys = Array.from({ length: 600 }, (_, n) => `["${n}",'%_]`);
    const accepted = keys.flatMap((key, n) =>
      [3, 1, 2].map((position) => turn(`${n}:${position}`, { session: key, position: position * (n % 2 ? 1 : 1_000) })),
    );
    await write(...accepted.map((one): Change => ({ type: "turn_accepted", turn: one })));
    await write(
      { type: "turn_begun", turn: "7:3", promptId: "p", attempt: 1 },
      { type: "turn_ended", turn: "8:2", state: "cancelled", at: 5, outcome: {} },
      { type: "turn_withdrawn", turn: "9:1" },
      { type: "session_forgotten", session: keys[10] ?? "" },
    );
    const asked = async (...wanted: string[]): Promise<Map<string, string[]>> => {
      const found = await journal.unfinishedTurns(wanted);
      const bySession = Map.groupBy(found, (one) => one.session);
      return new Map([...bySession].map(([key, turns]) => [key, turns.map(({ id }) => id)]));
    };
    const many = await asked(...keys.slice(0, 500));
    const ordered = (n: number): [string, string[]] => [keys[n] ?? "", [`${n}:1`, `${n}:2`, `${n}:3`]];
    const expected = new Map(Array.from({ length: 500 }, (_, n) => ordered(n)));
    expected.set(keys[7] ?? "", ["7:3", "7:1", "7:2"]).set(keys[8] ?? "", ["8:1", "8:3"]);
    expected.set(keys[9] ?? "", ["9:2", "9:3"]).delete(keys[10] ?? "");
    deepEqual(many, expected);
    deepEqual(await asked("unknown", ...keys.slice(2, 4), ...keys.slice(3, 5)), new Map([2, 3, 4].map(ordered)));
    deepEqual(await journal.unfinishedTurns(["unknown", '["2"']), []);
    deepEqual(await journal.unfinishedTurns([]), []);
  },

  "makes the changes of a batch in order": async ({ journal, write }) => {
    await write(
      { type: "turn_accepted", turn: turn("t1") },
      { type: "turn_begun", turn: "t1", promptId: "p1", attempt: 1 },
      { type: "turn_touched", turn: "t1" },
      { type: "turn_requeued", turn: "t1", position: 4 },
      { type: "turn_begun", turn: "t1", promptId: "p2", attempt: 2 },
      { type: "session_saved", session: session('"a"', { conversationId: "c1" }) },
      { type: "session_saved", session: session('"a"', { conversationId: "c2" }) },
    );
    const found = await journal.turn("t1");
    deepEqual([found?.promptId, found?.touched, found?.position], ["p2", false, 4]);
    equal((await journal.sessions(['"a"']))[0]?.conversationId, "c2");
  },

  "applies a batch once, however often it is written": async ({ journal }) => {
    const spend: Change = { type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] };
    await journal.write({ number: 1, changes: [spend], durable: false });
    await journal.write({ number: 1, changes: [spend], durable: true });
    await journal.write({ number: 2, changes: [spend], durable: true });
    await journal.write({ number: 2, changes: [spend], durable: false });
    equal((await journal.usage({ by: [] }))[0]?.costUsd, 2);
  },

  "adds up what was spent, and tells it by any dimension": async ({ journal, write }) => {
    const [day1, day2, day3] = ["2026-01-30", "2026-01-31", "2026-02-01"] as const;
    const a = { supervisor: "s1", session: '"a"' };
    const b = { supervisor: "s2", session: '"b"' };
    await write({ type: "spent", ...a, day: day1, models: [spent("opus", 1), spent("haiku", 0.25)] });
    await write({ type: "spent", ...a, day: day1, models: [spent("opus", 2)] });
    await write({ type: "spent", ...a, day: day2, models: [spent("opus", 4)] });
    await write({ type: "spent", ...b, day: day3, models: [spent("haiku", 8)] });
    const costs = async (query: UsageQuery): Promise<unknown[]> =>
      (await journal.usage(query))
        .map((entry) => [...query.by.map((dimension) => entry[dimension]), entry.costUsd])
        .toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
    deepEqual(await costs({ by: [] }), [[15.25]]);
    deepEqual(await costs({ by: ["model"] }), [
      ["haiku", 8.25],
      ["opus", 7],
    ]);
    deepEqual(await costs({ by: ["session", "day"] }), [
      ['"a"', day1, 3.25],
      ['"a"', day2, 4],
      ['"b"', day3, 8],
    ]);
    deepEqual(await costs({ by: ["supervisor"] }), [
      ["s1", 7.25],
      ["s2", 8],
    ]);
    deepEqual(await costs({ by: [], supervisor: "s2" }), [[8]]);
    deepEqual(await costs({ by: [], session: '"a"', since: day2 }), [[4]]);
    deepEqual(await costs({ by: [], since: day1, until: day2 }), [[7.25]]);
    deepEqual(await costs({ by: [], session: '"c"' }), []);
  },

  "counts tokens too": async ({ journal, write }) => {
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1), spent("m", 1)] });
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] });
    const expected: UsageEntry = {
      costUsd: 3,
      usage: {
        inputTokens: 30,
        outputTokens: 60,
        cacheReadInputTokens: 90,
        cacheCreationInputTokens: 9_000_000_000_000,
      },
    };
    deepEqual(await journal.usage({ by: [] }), [expected]);
  },

  "keeps approvals and what was answered, once": async ({ journal, write }) => {
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

  "forgets a session, but not what it spent": async ({ journal, write }) => {
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

  "keeps the conversations that a session has left, in order, until nothing is left of them": async ({
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

  "tells all turns and approvals of a session, in the order in which they were written": async ({ journal, write }) => {
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
    const found = records.map((record) => (record.type === "turn" ? record.turn.id : record.approval.id));
    deepEqual(found, [...ids.filter((id) => id !== "t8"), "a2", "a1"]);
    deepEqual(records[7], { type: "turn", turn: await journal.turn("t7") });
    deepEqual(records.slice(-2), [
      { type: "approval", approval: asked[0] },
      { type: "approval", approval: { ...asked[1], outcome: "denied", settledAt: 2 } },
    ]);
    deepEqual(await journal.extent('"a"'), { turns: 119, approvals: 2 });
    deepEqual(await journal.extent('"b"'), { turns: 120, approvals: 0 });
  },

  "erases a session, and keeps what it spent under another key": async ({ journal, write, reopen }) => {
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
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0 });
    equal((await journal.turn("t2"))?.session, '"b"');
    deepEqual(ordered(await journal.usage({ by: ["supervisor", "day", "model"] })), ordered(before));
    deepEqual(await costs(journal), [
      ['["erased","1"]', 7],
      ['"b"', 8],
    ]);
    deepEqual(await journal.usage({ by: [], session: '"a"' }), []);
  },

  "erases as often as it is told, each time under a key of its own": async ({ journal, write }) => {
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

  "has nothing to remove from its files that it still knows": async ({ journal, write }) => {
    await write(
      { type: "turn_accepted", turn: turn("t1") },
      { type: "turn_accepted", turn: turn("t2", { session: '"b"' }) },
    );
    await write({ type: "session_erased", session: '"a"', as: '"e"' });
    // Writes go on meanwhile.
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

  "forgets old turns by age and by count, and none that has not ended": async ({ journal, write }) => {
    const ended = (id: string, at: number, session = '"a"'): Change[] => [
      { type: "turn_accepted", turn: turn(id, { session }) },
      { type: "turn_ended", turn: id, state: "completed", at, outcome: {} },
    ];
    await write(...ended("t1", 10), ...ended("t2", 20), ...ended("t3", 30), ...ended("t4", 40));
    await write(...ended("b1", 10, '"b"'), ...ended("b2", 20, '"b"'));
    await write({ type: "turn_accepted", turn: turn("waits", { acceptedAt: 1 }) });
    await write({ type: "turn_accepted", turn: turn("runs", { acceptedAt: 1 }) });
    await write({ type: "turn_begun", turn: "runs", promptId: "p", attempt: 1 });
    const left = async (): Promise<string[]> => {
      const ids = ["t1", "t2", "t3", "t4", "b1", "b2", "waits", "runs"];
      const found = await Promise.all(ids.map((id) => journal.turn(id)));
      return found.flatMap((entry) => (entry === undefined ? [] : [entry.id]));
    };
    equal(await journal.prune({ endedSince: 20, turnsPerSession: 100 }), 2);
    deepEqual(await left(), ["t2", "t3", "t4", "b2", "waits", "runs"]);
    equal(await journal.prune({ endedSince: 0, turnsPerSession: 2 }), 1);
    deepEqual(await left(), ["t3", "t4", "b2", "waits", "runs"]);
    equal(await journal.prune({ endedSince: 1_000, turnsPerSession: 2 }), 3);
    deepEqual(await left(), ["waits", "runs"]);
  },

  "forgets settled approvals that are old": async ({ journal, write }) => {
    const ask = (id: string): Change => ({
      type: "approval_requested",
      approval: { id, session: '"a"', tool: "T", input: {}, requestedAt: 1 },
    });
    await write(ask("old"), ask("new"), ask("open"));
    await write(
      { type: "approval_settled", approval: "old", outcome: "denied", at: 5 },
      { type: "approval_settled", approval: "new", outcome: "denied", at: 50 },
    );
    await journal.prune({ endedSince: 10, turnsPerSession: 10 });
    deepEqual(
      (await journal.approvals('"a"', 9)).map(({ id }) => id),
      ["open", "new"],
    );
  },

  "has everything again after it was closed": async ({ journal, write, reopen }) => {
    const saved = session('"a"');
    await write({ type: "session_saved", session: saved }, { type: "turn_accepted", turn: turn("t1") });
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] });
    await reopen();
    deepEqual(await journal.sessions(['"a"']), [saved]);
    equal((await journal.turn("t1"))?.state, "queued");
    // Numbers count anew.
    await write({ type: "turn_ended", turn: "t1", state: "cancelled", at: 1, outcome: {} });
    equal((await journal.turn("t1"))?.state, "cancelled");
    equal((await journal.usage({ by: [] }))[0]?.costUsd, 1);
  },

  "is held by one application at a time": async ({ journal }) => {
    await refuses("JOURNAL_IN_USE", () => journal.open(OTHER), {
      pid: OWNER.pid,
      host: OWNER.host,
      startedAt: OWNER.startedAt,
    });
    await journal.close();
    await journal.open(OTHER);
  },

  "refuses to be used while it is not open": async ({ journal }) => {
    await journal.close();
    await journal.close();
    const changes: Change[] = [{ type: "turn_accepted", turn: turn("t1") }];
    await refuses("JOURNAL_UNAVAILABLE", () => journal.write({ number: 1, changes, durable: false }));
    await refuses("JOURNAL_UNAVAILABLE", () => journal.turn("t1"));
    await refuses("JOURNAL_UNAVAILABLE", () => journal.unfinishedTurns(['"a"']));
    await refuses("JOURNAL_UNAVAILABLE", () => journal.sessions(['"a"']));
    await journal.open(OWNER);
    equal(await journal.turn("t1"), undefined);
  },

  "brings back every text as it was": async ({ journal, write, reopen }) => {
    const unusual = turn(`id ${UNUSUAL}`, { session: UNUSUAL, prompt: UNUSUAL });
    const outcome = { [UNUSUAL]: UNUSUAL, __proto__x: [UNUSUAL, 1e300, -1.5, 0.1, Number.MAX_SAFE_INTEGER] };
    await write({ type: "turn_accepted", turn: unusual });
    const wanted = ["\uDE00", UNUSUAL, "\u0000"];
    deepEqual(
      (await journal.unfinishedTurns(wanted)).map(({ id }) => id),
      [unusual.id],
    );
    await write({ type: "turn_ended", turn: unusual.id, state: "failed", at: 3, outcome });
    const saved = session(UNUSUAL, { conversationId: UNUSUAL, supervisor: UNUSUAL, memory: { [UNUSUAL]: UNUSUAL } });
    await write({ type: "session_saved", session: saved });
    const left = conversation(UNUSUAL, { session: UNUSUAL, memory: { [UNUSUAL]: UNUSUAL } });
    await write({ type: "conversation_left", conversation: left });
    await write({ type: "spent", supervisor: "s", session: '"u"', day: "2026-01-01", models: [spent("m", 1)] });
    await write({ type: "session_erased", session: '"u"', as: `as ${UNUSUAL}` });
    await reopen();
    deepEqual(await journal.conversations(UNUSUAL), [left]);
    deepEqual(await costs(journal), [[`as ${UNUSUAL}`, 1]]);
    const found = await journal.turn(unusual.id);
    deepEqual([found?.prompt, found?.session, found?.outcome], [UNUSUAL, UNUSUAL, outcome]);
    deepEqual(await journal.sessions(wanted), [saved]);
  },

  "takes long texts and many changes": async ({ journal, write }) => {
    const prompt = "long ".repeat(400_000);
    await write({ type: "turn_accepted", turn: turn("long", { prompt }) });
    equal((await journal.turn("long"))?.prompt, prompt);
    const many = Array.from({ length: 2_000 }, (_, n) => turn(`n${n}`, { session: '"many"', position: n }));
    await write(...many.map((one): Change => ({ type: "turn_accepted", turn: one })));
    const found = await journal.unfinishedTurns(['"many"']);
    deepEqual(
      found.map(({ id }) => id),
      many.map(({ id }) => id),
    );
  },

  "keeps times beyond 32 bits and positions below zero": async ({ journal, write }) => {
    const accepted = turn("t1", { acceptedAt: 4_102_444_800_000, position: -12 });
    await write({ type: "turn_accepted", turn: accepted });
    await write({ type: "turn_ended", turn: "t1", state: "timed_out", at: 4_102_444_800_001, outcome: {} });
    const found = await journal.turn("t1");
    deepEqual([found?.acceptedAt, found?.endedAt, found?.position], [4_102_444_800_000, 4_102_444_800_001, -12]);
  },
};

const SPENDER = { supervisor: "s", session: '"a"' };

function spent(model: string, costUsd: number): Extract<Change, { type: "spent" }>["models"][number] {
  const usage = { inputTokens: 10, outputTokens: 20, cacheReadInputTokens: 30, cacheCreationInputTokens: 3e12 };
  return { model, costUsd, usage };
}

function session(key: string, changed: Partial<SessionEntry> = {}): SessionEntry {
  return { key, supervisor: "s", conversationId: "c", memory: { kind: "new" }, savedAt: 1_700_000_000_000, ...changed };
}

function conversation(conversationId: string, changed: Partial<ConversationEntry> = {}): ConversationEntry {
  return { session: '"a"', conversationId, memory: { kind: "kept" }, leftAt: 1_700_000_000_000, ...changed };
}

/** What each session has spent. */
async function costs(journal: Journal): Promise<[string | undefined, number][]> {
  const entries = await journal.usage({ by: ["session"] });
  return ordered(entries.map(({ session, costUsd }): [string | undefined, number] => [session, costUsd]));
}

function ordered<Value>(values: readonly Value[]): Value[] {
  return values.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
}

function turn(id: string, changed: Partial<AcceptedTurn> = {}): AcceptedTurn {
  return { id, session: '"a"', prompt: "hello", position: 0, durable: true, acceptedAt: 1, ...changed };
}

async function reopen(journal: Journal, restart: () => void): Promise<void> {
  await journal.close();
  await journal.open(OTHER);
  restart();
}

async function refuses(code: ErrorCode, work: () => Promise<unknown>, details?: object): Promise<void> {
  await rejects(work, (error: CastellanError) => {
    equal(error.code, code);
    if (details !== undefined) deepEqual({ ...error.details }, details);
    return true;
  });
}
