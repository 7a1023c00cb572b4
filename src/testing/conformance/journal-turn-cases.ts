import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { TurnQuery } from "../../journal/model/turn-entry.ts";
import { ALL_EVENTS, type JournalCases, session, turn, UNUSUAL } from "./journal-case.ts";

/** The cases about turns. */
export const TURN_CASES: JournalCases = {
  "finds sessions with unfinished turns by key prefix, in order": async ({ journal, write }) => {
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

  "takes a turn that begins with its acceptance, unless the turn exists": async ({ journal, write, reopen }) => {
    const [accepted, begun] = [turn("t1", { metadata: { a: [1] }, by: "ann" }), { promptId: UNUSUAL, attempt: 1 }];
    await write({ type: "turn_accepted", turn: accepted, begun });
    const running = { ...accepted, state: "running", attempts: 1, promptId: UNUSUAL, touched: false };
    await reopen();
    deepEqual(await journal.turn("t1"), running);
    deepEqual(await journal.unfinishedTurns([accepted.session]), [running]);
    await write({ type: "turn_accepted", turn: accepted, begun: { promptId: "other", attempt: 2 } });
    deepEqual(await journal.turn("t1"), running);
    await write({ type: "turn_withdrawn", turn: "t1" });
    deepEqual(await journal.turn("t1"), running);
    await write({ type: "turn_requeued", turn: "t1", position: 4, attempts: 0 });
    deepEqual(await journal.turn("t1"), { ...running, state: "queued", attempts: 0, position: 4 });
    await write({ type: "turn_withdrawn", turn: "t1" });
    equal(await journal.turn("t1"), undefined);
    await write(
      { type: "turn_accepted", turn: turn("t2") },
      { type: "turn_accepted", turn: turn("t3", { position: 2 }), begun },
      { type: "turn_ended", turn: "t3", state: "completed", at: 9, outcome: {} },
      { type: "turn_accepted", turn: turn("t3"), begun },
    );
    equal((await journal.turn("t2"))?.state, "queued");
    equal((await journal.turn("t3"))?.state, "completed");
  },

  "keeps the kind of a prompt": async ({ journal, write, reopen }) => {
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

  "keeps the origin and the metadata of a turn, and who asked": async ({ journal, write, reopen }) => {
    const metadata = { user: UNUSUAL, deep: [{ n: null, yes: true, number: 1.5 }], [UNUSUAL]: "␐0000" };
    const turns = [
      turn("plain"),
      turn("metadata", { position: 1, metadata }),
      turn("empty", { position: 2, metadata: {} }),
      turn("own", { position: 3, prompt: "", origin: "task" }),
      turn("asked", { position: 4, by: UNUSUAL, metadata }),
    ];
    await write(...turns.map((one): Change => ({ type: "turn_accepted", turn: one })));
    await reopen();
    deepEqual(
      await journal.unfinishedTurns(['"a"']),
      turns.map((one) => ({ ...one, state: "queued", attempts: 0, touched: false })),
    );
    await write({ type: "turn_ended", turn: "metadata", state: "completed", at: 9, outcome: {} });
    deepEqual((await journal.turn("metadata"))?.metadata, metadata);
  },

  "returns turns page by page, the last accepted first": async ({ journal, write }) => {
    const ids = Array.from({ length: 30 }, (_, n) => `t${n}`);
    await write(
      ...ids.flatMap((id, n): Change[] => [
        { type: "turn_accepted", turn: turn(id, { position: n % 3 ? -n : n }) },
        { type: "turn_accepted", turn: turn(`${id} of b`, { session: '"b"' }) },
      ]),
    );
    await write(
      { type: "turn_withdrawn", turn: "t27" },
      { type: "turn_ended", turn: "t3", state: "completed", at: 5, outcome: { reply: 1 } },
      { type: "turn_begun", turn: "t12", promptId: "p", attempt: 1 },
      { type: "turn_requeued", turn: "t9", position: -1_000 },
    );
    const page = async (query: Partial<TurnQuery>): Promise<string[]> =>
      (await journal.turns({ session: '"a"', limit: 10, ...query })).map(({ id }) => id);
    const expected = ids.filter((id) => id !== "t27").toReversed();
    const found: string[] = [];
    for (let some = await page({}); some.length > 0; some = await page({ before: found.at(-1) ?? "" })) {
      found.push(...some);
    }
    deepEqual(found, expected);
    deepEqual(await page({ limit: 2_000 }), expected);
    deepEqual(await page({ limit: 0 }), []);
    deepEqual(await page({ before: "t0" }), []);
    deepEqual(await page({ before: "t27" }), []);
    deepEqual(await page({ before: "t5 of b" }), []);
    deepEqual(await page({ session: '"unknown"' }), []);
    deepEqual(await journal.turns({ session: '"a"', before: "t4", limit: 1 }), [await journal.turn("t3")]);
  },

  "returns the turns of several sessions in one list": async ({ journal, write }) => {
    const sessions = ['"a"', '"b"', UNUSUAL];
    const accepted = Array.from({ length: 9 }, (_, n) => turn(`t${n}`, { session: sessions[n % 3] ?? "" }));
    await write(...accepted.map((one): Change => ({ type: "turn_accepted", turn: one })));
    await write(
      { type: "turn_accepted", turn: turn("other", { session: '"c"' }) },
      { type: "turn_ended", turn: "t4", state: "failed", at: 1, outcome: {} },
    );
    const page = async (query: Partial<TurnQuery>): Promise<string[]> =>
      (await journal.turns({ session: sessions, limit: 4, ...query })).map(({ id }) => id);
    deepEqual(await page({}), ["t8", "t7", "t6", "t5"]);
    deepEqual(await page({ before: "t5" }), ["t4", "t3", "t2", "t1"]);
    deepEqual(await page({ before: "t5", states: ["queued"] }), ["t3", "t2", "t1", "t0"]);
    deepEqual(await page({ session: ['"b"'] }), ["t7", "t4", "t1"]);
    deepEqual(await page({ session: [] }), []);
    deepEqual(await page({ before: "other" }), []);
  },

  "returns turns by their states": async ({ journal, write }) => {
    const ids = Array.from({ length: 12 }, (_, n) => `t${n}`);
    await write(...ids.map((id): Change => ({ type: "turn_accepted", turn: turn(id) })));
    const states = ["completed", "failed", "cancelled"] as const;
    await write(
      { type: "turn_begun", turn: "t10", promptId: "p", attempt: 1 },
      ...ids.slice(0, 9).map((id, n): Change => {
        return { type: "turn_ended", turn: id, state: states[n % 3] ?? "failed", at: n, outcome: {} };
      }),
    );
    const page = async (query: Partial<TurnQuery>): Promise<string[]> =>
      (await journal.turns({ session: '"a"', limit: 10, ...query })).map(({ id }) => id);
    deepEqual(await page({ states: ["running"] }), ["t10"]);
    deepEqual(await page({ states: ["queued", "running"] }), ["t11", "t10", "t9"]);
    deepEqual(await page({ states: ["queued", "failed"], limit: 3 }), ["t11", "t9", "t7"]);
    deepEqual(await page({ states: ["queued", "failed"], limit: 3, before: "t7" }), ["t4", "t1"]);
    deepEqual(await page({ states: [] }), []);
  },

  "returns a page of large turns in parts": async ({ journal, write }) => {
    const long = "x".repeat(700_000);
    for (const id of ["t1", "t2", "t3"]) await write({ type: "turn_accepted", turn: turn(id, { prompt: long }) });
    const found: string[] = [];
    for (;;) {
      const before = found.at(-1);
      const page = await journal.turns({ session: '"a"', limit: 10, ...(before !== undefined && { before }) });
      if (page.length === 0) break;
      found.push(...page.map(({ id }) => id));
    }
    deepEqual(found, ["t3", "t2", "t1"]);
  },

  "begins a requeued turn untouched": async ({ journal, write }) => {
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

  "ignores a second acceptance of a turn": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "one" }) });
    await write({ type: "turn_begun", turn: "t1", promptId: "p", attempt: 1 });
    await write({ type: "turn_accepted", turn: turn("t1", { prompt: "two" }) });
    const found = await journal.turn("t1");
    deepEqual([found?.prompt, found?.state], ["one", "running"]);
  },

  "forgets a withdrawn turn unless it has begun or ended": async ({ journal, write }) => {
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

  "returns unfinished turns: the running one first, then by position": async ({ journal, write }) => {
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

  "returns each unfinished turn of many sessions once": async ({ journal, write }) => {
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

  "prunes ended turns by age and count, and no unfinished turn": async ({ journal, write }) => {
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
    equal(await journal.prune({ endedSince: 20, turnsPerSession: 100, events: ALL_EVENTS }), 2);
    deepEqual(await left(), ["t2", "t3", "t4", "b2", "waits", "runs"]);
    equal(await journal.prune({ endedSince: 0, turnsPerSession: 2, events: ALL_EVENTS }), 1);
    deepEqual(await left(), ["t3", "t4", "b2", "waits", "runs"]);
    equal(await journal.prune({ endedSince: 1_000, turnsPerSession: 2, events: ALL_EVENTS }), 3);
    deepEqual(await left(), ["waits", "runs"]);
  },
};
