import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import { changeGroups } from "../../src/journal/model/change-groups.ts";
import { appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";

const id = fc.constantFrom("1", "2", "3");
const session = fc.constantFrom("a", "b");
const number = fc.integer({ min: 1, max: 9 });

const accepted = { prompt: "p", durable: true, acceptedAt: 0 };
const usage = { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 };

const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(session, id).map(
    ([key, conversationId]): Change => ({
      type: "session_saved",
      session: { key, conversationId, supervisor: "s", memory: {}, savedAt: 0 },
    }),
  ),
  session.map((key): Change => ({ type: "session_forgotten", session: key })),
  fc.tuple(session, number).map(([key, n]): Change => ({ type: "session_erased", session: key, as: `gone ${n}` })),
  fc.tuple(session, id).map(
    ([key, conversationId]): Change => ({
      type: "conversation_left",
      conversation: { session: key, conversationId, memory: {}, leftAt: 0 },
    }),
  ),
  fc
    .tuple(session, id)
    .map(([key, conversationId]): Change => ({ type: "conversation_erased", session: key, conversationId })),
  fc.tuple(id, session, number).map(
    ([turn, key, position]): Change => ({
      type: "turn_accepted",
      turn: { ...accepted, id: turn, session: key, position },
    }),
  ),
  id.map((turn): Change => ({ type: "turn_withdrawn", turn })),
  fc
    .tuple(id, number)
    .map(([turn, attempt]): Change => ({ type: "turn_begun", turn, promptId: `p${attempt}`, attempt })),
  id.map((turn): Change => ({ type: "turn_touched", turn })),
  fc.tuple(id, session, number).map(
    ([job, key, dueAt]): Change => ({
      type: "job_saved",
      job: { id: job, session: key, prompt: "p", dueAt, createdAt: 0, terms: {} },
    }),
  ),
  fc.tuple(id, session, number).map(
    ([job, key, dueAt]): Change => ({
      type: "job_added",
      job: { id: job, session: key, prompt: "q", dueAt, createdAt: 0, terms: {} },
    }),
  ),
  id.map((job): Change => ({ type: "job_dropped", job })),
  fc.tuple(id, number).map(([turn, position]): Change => ({ type: "turn_requeued", turn, position })),
  fc
    .tuple(id, number)
    .map(([turn, at]): Change => ({ type: "turn_ended", turn, state: "completed", at, outcome: { at } })),
  fc.tuple(session, number).map(
    ([key, costUsd]): Change => ({
      type: "spent",
      supervisor: "s",
      session: key,
      day: "2026-01-01",
      models: [{ model: "m", costUsd, usage }],
    }),
  ),
  fc.tuple(id, session).map(
    ([approval, key]): Change => ({
      type: "approval_requested",
      approval: { id: approval, session: key, tool: "t", input: {}, requestedAt: 0 },
    }),
  ),
  fc
    .tuple(id, number)
    .map(([approval, at]): Change => ({ type: "approval_settled", approval, outcome: "approved", at })),
  fc.tuple(session, number, id).map(([key, n, turn]): Change => {
    const brought = content(`content ${n % 3}`);
    return appendingWith(event(n, { session: key, turn }), brought);
  }),
);

/** Returns everything that a journal knows after these changes. */
async function knownAfter(changes: readonly Change[]): Promise<unknown> {
  const journal = memoryJournal();
  await journal.open({ id: "a", pid: 1, host: "h", startedAt: 0 });
  await journal.write({ number: 1, changes, durable: false });
  const approvals = await Promise.all(["a", "b"].map((key) => journal.approvals(key, 9)));
  return {
    sessions: await journal.sessions(["a", "b"]),
    unfinished: (await journal.unfinishedTurns(["a", "b"])).map((turn) => turn.id).toSorted(),
    turns: await Promise.all(["1", "2", "3"].map((turn) => journal.turn(turn))),
    approvals: approvals.map((all) => all.toSorted((one, other) => (one.id < other.id ? -1 : 1))),
    events: await Promise.all(["a", "b"].map((key) => journal.events({ session: key, limit: 99 }))),
    extents: await Promise.all(["a", "b"].map((key) => journal.eventExtent(key))),
    left: await Promise.all(["a", "b"].map((key) => journal.conversations(key))),
    jobs: await Promise.all(["1", "2", "3"].map((job) => journal.job(job))),
    usage: (await journal.usage({ by: ["session"] })).toSorted((one, other) =>
      (one.session ?? "") < (other.session ?? "") ? -1 : 1,
    ),
  };
}

describe("changeGroups", () => {
  it("has the same effect as the changes in their order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyChange, { maxLength: 30 }), async (changes) => {
        const grouped = changeGroups(changes).flatMap<Change>((group) => group.changes);
        expect(grouped).toHaveLength(changes.length);
        expect(await knownAfter(grouped)).toEqual(await knownAfter(changes));
      }),
      { numRuns: 300 },
    );
  });

  it("puts two changes of one turn into different groups, since a statement can change a row only once", () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 30 }), (changes) => {
        for (const group of changeGroups(changes)) {
          const things = group.changes.flatMap((change) => ("turn" in change ? [JSON.stringify(change.turn)] : []));
          const ids =
            group.type === "turn_accepted"
              ? group.changes.map(({ turn }) => turn.id)
              : group.type === "job_saved" || group.type === "job_added"
                ? group.changes.map(({ job }) => job.id)
                : things;
          expect(new Set(ids).size).toBe(ids.length);
        }
      }),
    );
  });

  it("groups equal changes of different sessions", () => {
    const changes = Array.from({ length: 50 }, (_, n): Change[] => [
      { type: "turn_accepted", turn: { ...accepted, id: `t${n}`, session: `s${n}`, position: 0 } },
      { type: "turn_begun", turn: `t${n}`, promptId: "p", attempt: 1 },
      { type: "turn_touched", turn: `t${n}` },
      {
        type: "spent",
        supervisor: "s",
        session: `s${n}`,
        day: "2026-01-01",
        models: [{ model: "m", costUsd: 1, usage }],
      },
      { type: "turn_ended", turn: `t${n}`, state: "completed", at: 1, outcome: {} },
    ]).flat();
    expect(changeGroups(changes).map(({ type }) => type)).toEqual([
      "turn_accepted",
      "turn_begun",
      "turn_touched",
      "spent",
      "turn_ended",
    ]);
  });
});
