import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { ALL_EVENTS, appending, appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";
import { errorOf, newFolder, OWNER, turn } from "../journal/sqlite-scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const MINE = '["user","carol"]';
const SECRET = "carol's secret";

/** Counts the occurrences of `text` in the file and in all files beside it. */
function found(text: string, sqlite: string): number {
  const folder = join(sqlite, "..");
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), "latin1"));
  return files.reduce((sum, content) => sum + content.split(text).length - 1, 0);
}

async function opened(clock = systemClock): Promise<{ journal: Journal & AsyncDisposable; sqlite: string }> {
  const sqlite = join(newFolder(), "castellan.db");
  const journal = sqliteJournal({ sqlite }, { clock });
  await journal.open(OWNER);
  return { sqlite, journal: Object.assign(journal, { [Symbol.asyncDispose]: () => journal.close() }) };
}

const writing = (journal: Journal): ((...changes: Change[]) => Promise<void>) => {
  let number = 0;
  return (...changes) => journal.write({ number: ++number, changes, durable: false } satisfies Batch);
};

/** Every change about a session that can contain text, with a secret in each. */
const secrets: Change[] = [
  { type: "session_saved", session: { key: MINE, supervisor: "s", conversationId: "c", memory: {}, savedAt: 1 } },
  { type: "turn_accepted", turn: turn("t", { session: MINE, prompt: SECRET.repeat(9) }) },
  { type: "turn_ended", turn: "t", state: "completed", at: 1, outcome: { text: SECRET.repeat(900) } },
  {
    type: "approval_requested",
    approval: { id: "a", session: MINE, tool: "T", input: { command: SECRET }, requestedAt: 1 },
  },
  {
    type: "conversation_left",
    conversation: { session: MINE, conversationId: SECRET, memory: { place: SECRET }, leftAt: 1 },
  },
  appendingWith(
    event(1, { session: MINE, type: SECRET, turn: SECRET, body: { text: SECRET.repeat(900) } }),
    content(SECRET.repeat(2_000), SECRET),
  ),
];

const erased: Change = { type: "session_erased", session: MINE, as: '["erased","1"]' };

describe("sqliteJournal expunge", () => {
  it("leaves erased text neither in the file nor beside it", async () => {
    const { journal, sqlite } = await opened();
    await using _ = journal;
    const write = writing(journal);
    await write(...secrets, { type: "turn_accepted", turn: turn("other") }, ...appending(event(1)));
    await write(erased);
    expect(found(SECRET, sqlite) + found("carol", sqlite), "the test finds it before").toBeGreaterThan(0);
    await journal.expunge?.(true);
    expect(found(SECRET, sqlite)).toBe(0);
    expect(found("carol", sqlite)).toBe(0);
    expect(statSync(`${sqlite}-wal`).size, "of what was removed nothing is in the log").toBeLessThan(20_000);
    expect(await journal.turn("other")).toBeDefined();
    expect(await journal.events({ session: '"a"', limit: 9 })).toEqual([event(1)]);
    await write(...appending(event(2)));
    expect(await journal.events({ session: '"a"', limit: 9 })).toEqual([event(1), event(2)]);
    await write({ type: "turn_accepted", turn: turn("later") });
  });

  it("leaves no erased text after random writes, ends and prunes", { timeout: 120_000 }, async () => {
    const step = fc.record({
      mine: fc.boolean(),
      size: fc.constantFrom(1, 40, 400, 3_000),
      ends: fc.nat(20),
      grows: fc.constantFrom(0, 20, 200),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
        const { journal, sqlite } = await opened();
        await using _ = journal;
        const write = writing(journal);
        for (const [n, { mine, size, ends, grows }] of steps.entries()) {
          const session = mine ? MINE : '"other"';
          const word = mine ? SECRET : "another's word";
          const said = { session, body: { text: word.repeat(size) } };
          const brought = content(word.repeat(grows + 1));
          await write(
            { type: "turn_accepted", turn: turn(`t${n}`, { session, prompt: word.repeat(size) }) },
            n % 5 === 0
              ? appendingWith(event(n + 1, said), brought)
              : { type: "event_appended", event: event(n + 1, said) },
          );
          const last = steps[n - ends];
          if (last === undefined) continue;
          const text = (last.mine ? SECRET : "another's word").repeat(grows);
          await write({ type: "turn_ended", turn: `t${n - ends}`, state: "completed", at: n, outcome: { text } });
        }
        const events = { ...ALL_EVENTS, perSession: (3 * steps.length) / 4 };
        await journal.prune({ endedSince: steps.length / 4, turnsPerSession: 1_000, events });
        await write(erased);
        await journal.expunge?.(true);
        expect(found(SECRET, sqlite)).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  it("runs later when it need not be complete, at the close, and after the next start if the application died", async () => {
    const clock = new SimulatedClock();
    const { journal, sqlite } = await opened(clock);
    const write = writing(journal);
    await write(...secrets);
    await write({ type: "session_forgotten", session: MINE });
    await journal.expunge?.(false);
    expect(found(SECRET, sqlite)).toBe(0);
    // So soon after the last run it is deferred.
    await write(...secrets);
    await write({ type: "session_forgotten", session: MINE });
    await journal.expunge?.(false);
    expect(found(SECRET, sqlite)).toBeGreaterThan(0);
    await clock.advance(600_000);
    await write({ type: "turn_accepted", turn: turn("after it") });
    expect(found(SECRET, sqlite)).toBe(0);
    await journal.close();

    // The state that a kill right after the commit leaves.
    const later = sqliteJournal({ sqlite }, { clock });
    await later.open(OWNER);
    await writing(later)(...secrets, { type: "session_forgotten", session: MINE });
    using tool = new DatabaseSync(sqlite);
    expect({ ...tool.prepare("SELECT count(*) AS rows FROM residue").get() }).toEqual({ rows: 1 });
    await later.close();
    expect(found(SECRET, sqlite), "it is made up for at the end").toBe(0);
    tool.exec("INSERT INTO residue (only) VALUES (1)");
    tool.close();
    const next = sqliteJournal({ sqlite }, { clock });
    await next.open(OWNER);
    await clock.advance(1);
    await writing(next)({ type: "turn_accepted", turn: turn("next") });
    using reader = new DatabaseSync(sqlite, { readOnly: true });
    expect({ ...reader.prepare("SELECT count(*) AS rows FROM residue").get() }).toEqual({ rows: 0 });
    await next.close();
  });

  it("rejects with applied true while another program reads the erased pages", { timeout: 60_000 }, async () => {
    const { journal, sqlite } = await opened();
    await using _ = journal;
    const write = writing(journal);
    await write(...secrets);
    using reader = new DatabaseSync(sqlite, { readOnly: true });
    reader.exec("BEGIN");
    expect(reader.prepare("SELECT id FROM turns").all()).toHaveLength(1);
    await write(erased);
    const expunging = errorOf(journal.expunge?.(true) ?? Promise.resolve());
    let answered = false;
    const write2 = write({ type: "turn_accepted", turn: turn("meanwhile") }).then(() => {
      answered = true;
    });
    expect(await expunging).toMatchObject({
      code: "JOURNAL_UNAVAILABLE",
      details: { reason: "failed", applied: true },
    });
    await write2;
    expect(answered).toBe(true);
    reader.exec("COMMIT");
    reader.close();
    await journal.expunge?.(true);
    expect(found(SECRET, sqlite)).toBe(0);
  });

  it("rewrites the file once for concurrent calls", async () => {
    const { journal, sqlite } = await opened();
    await using _ = journal;
    const write = writing(journal);
    await write(...secrets, erased);
    const inode = statSync(sqlite).ino;
    await Promise.all(Array.from({ length: 20 }, () => journal.expunge?.(true)));
    expect(statSync(sqlite).ino).toBe(inode);
    expect(existsSync(`${sqlite}-wal`)).toBe(true);
    expect(found(SECRET, sqlite)).toBe(0);
  });
});
