import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import {
  conversation,
  costs,
  type JournalCases,
  OTHER,
  OWNER,
  refuses,
  SPENDER,
  session,
  spent,
  turn,
  UNUSUAL,
} from "./journal-case.ts";

/** The cases about batches, ownership and stored values. */
export const STORAGE_CASES: JournalCases = {
  "is empty when it is new": async ({ journal }) => {
    deepEqual(await journal.sessions(['"a"']), []);
    deepEqual(await journal.unfinishedBeginning(""), []);
    equal(await journal.turn("t1"), undefined);
    deepEqual(await journal.unfinishedTurns(['"a"']), []);
    deepEqual(await journal.approvals('"a"', 10), []);
    deepEqual(await journal.conversations('"a"'), []);
    deepEqual(await Array.fromAsync(journal.records('"a"')), []);
    deepEqual(await journal.extent('"a"'), { turns: 0, approvals: 0, events: 0 });
    deepEqual(await journal.usage({ by: [] }), []);
    deepEqual(await journal.events({ session: '"a"', limit: 10 }), []);
    equal(await journal.eventExtent('"a"'), undefined);
    equal(await journal.content("unknown"), undefined);
    const nothing = { since: Number.MAX_SAFE_INTEGER, perSession: 0, bytesPerSession: 0 };
    equal(await journal.prune({ endedSince: Number.MAX_SAFE_INTEGER, turnsPerSession: 0, events: nothing }), 0);
  },

  "ignores changes to unknown turns, sessions, approvals and conversations": async ({ journal, write }) => {
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

  "applies the changes of a batch in order": async ({ journal, write }) => {
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

  "keeps everything when it is closed and reopened": async ({ journal, write, reopen }) => {
    const saved = session('"a"');
    await write({ type: "session_saved", session: saved }, { type: "turn_accepted", turn: turn("t1") });
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] });
    await reopen();
    deepEqual(await journal.sessions(['"a"']), [saved]);
    equal((await journal.turn("t1"))?.state, "queued");
    // Batch numbers start at 1 again.
    await write({ type: "turn_ended", turn: "t1", state: "cancelled", at: 1, outcome: {} });
    equal((await journal.turn("t1"))?.state, "cancelled");
    equal((await journal.usage({ by: [] }))[0]?.costUsd, 1);
  },

  "refuses a second owner": async ({ journal }) => {
    await refuses("JOURNAL_IN_USE", () => journal.open(OTHER), {
      pid: OWNER.pid,
      host: OWNER.host,
      startedAt: OWNER.startedAt,
    });
    await journal.close();
    await journal.open(OTHER);
  },

  "refuses calls while it is closed": async ({ journal }) => {
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

  "returns every text unchanged": async ({ journal, write, reopen }) => {
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

  "takes long texts and large batches": async ({ journal, write }) => {
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

  "keeps times beyond 32 bits and negative positions": async ({ journal, write }) => {
    const accepted = turn("t1", { acceptedAt: 4_102_444_800_000, position: -12 });
    await write({ type: "turn_accepted", turn: accepted });
    await write({ type: "turn_ended", turn: "t1", state: "timed_out", at: 4_102_444_800_001, outcome: {} });
    const found = await journal.turn("t1");
    deepEqual([found?.acceptedAt, found?.endedAt, found?.position], [4_102_444_800_000, 4_102_444_800_001, -12]);
  },
};
