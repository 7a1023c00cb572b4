import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal, JournalOwner } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { ALL_EVENTS, appending, appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";
import { agreesWithMemory } from "./events-model.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "./sqlite-scene.ts";

const LATER: JournalOwner = { ...OWNER, id: "later" };

async function opened(sqlite = join(newFolder(), "castellan.db"), owner = OWNER): Promise<Journal & AsyncDisposable> {
  const journal = sqliteJournal({ sqlite });
  await journal.open(owner);
  return Object.assign(journal, { [Symbol.asyncDispose]: () => journal.close() });
}

async function numbers(journal: Journal, session = '"a"'): Promise<number[]> {
  return (await journal.events({ session, limit: 1_000 })).map(({ number }) => number);
}

const batch = (number: number, ...changes: Change[]) => ({ number, changes, durable: false });

describe("events in a SQLite journal", () => {
  it("are appended where the log ends after a batch was refused", async () => {
    await using journal = await opened();
    await journal.write(batch(1, ...appending(event(1))));
    const refused: Change = { type: "turn_accepted", turn: turn("t", { acceptedAt: Number.NaN }) };
    const events = appending(event(2), event(3), event(1, { session: '"b"' }));
    expect((await errorOf(journal.write(batch(2, ...events, refused)))).details).toMatchObject({ reason: "refused" });
    expect(await numbers(journal)).toEqual([1]);
    await journal.write(batch(2, ...appending(event(2), event(1, { session: '"c"' }))));
    await journal.write(batch(3, ...appending(event(3), event(1, { session: '"b"' }))));
    expect(await numbers(journal)).toEqual([1, 2, 3]);
    expect([await numbers(journal, '"b"'), await numbers(journal, '"c"')]).toEqual([[1], [1]]);
    expect(await journal.eventExtent('"a"')).toEqual({ first: 1, last: 3, bytes: 54 });
  });

  it("are appended where the log ends after a batch was written again, and after the journal was reopened", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = await opened(sqlite);
    await journal.write(batch(1, ...appending(event(1))));
    await journal.write(batch(1, ...appending(event(1), event(2))));
    // The batch that was written again is followed by one without events.
    await journal.write(batch(2));
    await journal.write(batch(3, ...appending(event(2), event(1, { session: '"b"' }))));
    await journal.open(OWNER);
    await journal.write(batch(1, ...appending(event(2), event(3))));
    await journal.close();
    await using later = await opened(sqlite, LATER);
    await later.write(batch(1, ...appending(event(3), event(4))));
    expect(await numbers(later)).toEqual([1, 2, 3, 4]);
  });

  it("of more sessions than the journal remembers are appended in order", async () => {
    await using journal = await opened();
    const keys = Array.from({ length: 2_300 }, (_, n) => `"${n}"`);
    for (const number of [1, 2, 3]) {
      await journal.write(batch(number, ...appending(...keys.map((session) => event(number, { session })))));
    }
    for (const session of ['"0"', '"1000"', '"2299"']) expect(await numbers(journal, session)).toEqual([1, 2, 3]);
    expect(await journal.eventExtent('"7"')).toEqual({ first: 1, last: 3, bytes: 54 });
  });

  it("do not pass to another session after theirs was forgotten while they were being pruned", async () => {
    await using journal = await opened();
    const old = Array.from({ length: 600 }, (_, n) => event(n + 1, { at: 1 }));
    await journal.write(batch(1, ...appending(...old)));
    const pruned = journal.prune({
      endedSince: 0,
      turnsPerSession: Number.POSITIVE_INFINITY,
      events: { ...ALL_EVENTS, since: 2 },
    });
    const b = { session: '"b"', at: 5 };
    await journal.write(
      batch(2, { type: "session_forgotten", session: '"a"' }, ...appending(event(1, b), event(2, b))),
    );
    await pruned;
    expect(await numbers(journal, '"b"')).toEqual([1, 2]);
    expect(await journal.eventExtent('"a"')).toBeUndefined();
  });

  it("are those of a journal in memory after the same changes", { timeout: 60_000 }, async () => {
    await agreesWithMemory(() => sqliteJournal({ sqlite: join(newFolder(), "castellan.db") }), 20);
  });

  it("are deleted in transactions that let writes run in between", async () => {
    await using journal = await opened();
    const old = Array.from({ length: 2_000 }, (_, n) => appendingWith(event(n + 1), content(`${n}`)));
    await journal.write(batch(1, ...old));
    const done: string[] = [];
    const events = { ...ALL_EVENTS, perSession: 10 };
    const pruned = journal.prune({ endedSince: 0, turnsPerSession: 1, events }).then(() => done.push("pruned"));
    await new Promise(setImmediate);
    await journal.write(accepting(2, turn("new")));
    done.push("written");
    await pruned;
    expect(done).toEqual(["written", "pruned"]);
    expect((await numbers(journal)).at(0)).toBe(1_991);
    expect(await journal.content(content("1989").hash)).toBeUndefined();
    expect(await journal.content(content("1990").hash)).toBeDefined();
  });
});
