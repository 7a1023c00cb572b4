import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { Change } from "../../src/journal/model/change.ts";
import type { EventQuery } from "../../src/journal/model/event-entry.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { markPath } from "../../src/journal/sqlite/sqlite-mark.ts";
import { appending, content, event } from "../../src/testing/conformance/journal-case.ts";
import { SESSIONS, warnings, written } from "./damaged-journal.ts";
import { accepting, errorOf, OWNER, turn } from "./sqlite-scene.ts";

/*
 * A text or number with a flipped bit is as valid as any other for SQLite. Reading it must report damage or return what
 * was written.
 */

function alter(path: string, sql: string): void {
  using database = new DatabaseSync(path);
  database.exec(sql);
}

/** Flips the lowest bit of the first byte of the `nth` occurrence of a text in the file. */
function flip(path: string, text: string, nth: number): void {
  const bytes = readFileSync(path);
  let at = -1;
  for (let found = 0; found <= nth; found += 1) at = bytes.indexOf(text, at + 1);
  expect(at).toBeGreaterThan(0);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

describe("SQLite journal with a flipped bit", () => {
  it("refuses only the damaged turn, and names it", async () => {
    const path = await written();
    alter(path, "UPDATE turns SET prompt = replace(prompt, 'Please', 'Qlease') WHERE id = 'turn-3-of-many'");
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    const error = await errorOf(journal.turn("turn-3-of-many"));
    expect(error.code).toBe("JOURNAL_UNAVAILABLE");
    expect(error.details).toEqual({ reason: "damaged" });
    expect(error.message).toContain("turn turn-3-of-many differs from what was written");
    expect((await journal.turn("turn-4-of-many"))?.state).toBe("queued");
    expect((await errorOf(journal.unfinishedTurns([SESSIONS[3] ?? ""]))).details).toEqual({ reason: "damaged" });
    expect(await journal.unfinishedTurns([SESSIONS[4] ?? ""])).not.toEqual([]);
    // A write does not clear the damage.
    await journal.write({ number: 1, changes: [{ type: "turn_touched", turn: "turn-3-of-many" }], durable: false });
    expect((await errorOf(journal.turn("turn-3-of-many"))).details).toEqual({ reason: "damaged" });
    await journal.close();
  });

  it("returns the events around damaged ones, which it reports once", async () => {
    const path = await written();
    alter(path, "UPDATE events SET body = replace(body, 'event 2', 'event 9') WHERE body LIKE '%event 2%'");
    const heard = warnings();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    const [session = ""] = SESSIONS;
    const numbers = async (query: { readonly after?: number; readonly before?: number }): Promise<number[]> =>
      (await journal.events({ session, limit: 9, ...query })).map(({ number }) => number);
    expect(await numbers({})).toEqual([1, 3]);
    expect(await numbers({ after: 1 })).toEqual([3]);
    expect(await numbers({ before: 9 })).toEqual([3, 1]);
    expect(await numbers({ before: 3 })).toEqual([1]);
    const told = `the events from 2 to 2 of session ${session} differs from what was written`;
    expect(journal.damage).toContain(told);
    await expect.poll(() => heard.filter((message) => message.includes(told))).toHaveLength(1);
    // The log goes on.
    await journal.write({ number: 1, changes: appending(event(4, { session })), durable: false });
    expect(await numbers({ after: 2 })).toEqual([3, 4]);
    await journal.close();
  });

  it.each(["last = 1000000", "last = 0", "first = 0", "first = 100"])(
    "returns the events around one whose numbers are damaged: %s",
    async (damage) => {
      const path = await written();
      const [session = ""] = SESSIONS;
      alter(path, `UPDATE events SET ${damage} WHERE turn = 'turn of ${session}' AND first = 2`);
      warnings();
      const journal = sqliteJournal({ sqlite: path });
      await journal.open(OWNER);
      const page = async (query: Partial<EventQuery>): Promise<number[]> =>
        (await journal.events({ session, limit: 2, ...query })).map(({ number }) => number);
      expect(await page({})).toEqual([1, 3]);
      expect(await page({ before: 50 })).toEqual([3, 1]);
      expect(await page({ limit: 1 })).toEqual([1]);
      expect(await page({ after: 1 })).toEqual([3]);
      await journal.close();
    },
  );

  it("refuses a damaged content and the range of a damaged log, and appends to the log", async () => {
    const path = await written();
    const [one = "", other = ""] = SESSIONS;
    const { hash } = content(`of ${one} in 1`);
    alter(path, `UPDATE contents SET data = x'00' WHERE hash = '${hash}'`);
    alter(path, `UPDATE event_logs SET pruned_offset = 5 WHERE session = '${other}'`);
    const [, , third = ""] = SESSIONS;
    alter(path, `UPDATE events SET end_offset = 5 WHERE turn = 'turn of ${third}' AND first = 3`);
    warnings();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    expect(journal.damage).toContain("damaged rows in event_logs: 1");
    expect((await errorOf(journal.content(hash))).message).toContain(`content ${hash} differs`);
    expect((await errorOf(journal.eventExtent(other))).message).toContain(`the events of session ${other} differs`);
    expect((await errorOf(journal.eventExtent(third))).message).toContain(
      `the events from 3 to 3 of session ${third} differs`,
    );
    expect((await journal.eventExtent(one))?.last).toBe(3);
    await journal.write({ number: 1, changes: appending(event(4, { session: other })), durable: false });
    expect(await journal.events({ session: other, after: 3, limit: 9 })).toEqual([event(4, { session: other })]);
    await journal.close();
  });

  it("refuses a transcript with a damaged part, and tells of a damaged owner", async () => {
    const path = await written();
    const [one = "", other = ""] = SESSIONS;
    alter(path, "UPDATE transcript_parts SET lines = replace(lines, 'line 2', 'line 9') WHERE lines LIKE '%user 0%'");
    alter(path, `UPDATE transcripts SET session = 'another' WHERE session = '${other}'`);
    const heard = warnings();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    expect(journal.damage).toContain("damaged rows in transcripts: 1");
    const { transcripts } = journal;
    const read = Array.fromAsync(transcripts?.lines({ conversationId: `of ${one}` }) ?? []);
    const error = await errorOf(read);
    expect([error.code, error.details]).toEqual(["JOURNAL_UNAVAILABLE", { reason: "damaged" }]);
    expect(error.message).toContain(`a part of the transcript of conversation of ${one} differs from what was written`);
    expect((await errorOf(transcripts?.of(`of ${other}`) ?? Promise.resolve())).details).toEqual({ reason: "damaged" });
    expect((await transcripts?.of(`of ${one}`))?.[0]?.lastUuid).toBe("3");
    await journal.close();
    await expect.poll(() => heard.some((message) => message.includes("rows in transcripts"))).toBe(true);
  });

  it("refuses the damaged costs, also after more was spent", async () => {
    const path = await written();
    alter(path, `UPDATE spending SET cost_usd = 5 WHERE session = '"user 1"'`);
    const journal = sqliteJournal({ sqlite: path });
    const heard = warnings();
    await journal.open(OWNER);
    expect(journal.damage).toContain("damaged rows in spending: 1");
    const usage = { inputTokens: 1, outputTokens: 7, cacheReadInputTokens: 1, cacheCreationInputTokens: 0 };
    const models = [{ model: "m", costUsd: 0.1, usage }];
    const spent: Change = { type: "spent", supervisor: "app", session: '"user 1"', day: "2026-11-24", models };
    await journal.write({ number: 1, changes: [spent], durable: false });
    expect((await errorOf(journal.usage({ session: '"user 1"', by: [] }))).details).toEqual({ reason: "damaged" });
    expect((await journal.usage({ session: '"user 2"', by: [] }))[0]?.costUsd).toBeCloseTo(0.6);
    await journal.close();
    await expect.poll(() => heard.some((message) => message.includes("rows in spending"))).toBe(true);
  });

  it("refuses a damaged number of turns, also after another turn", async () => {
    const path = await written();
    alter(path, `UPDATE spending SET turns = 5 WHERE session = '"user 1"'`);
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    const usage = { inputTokens: 1, outputTokens: 7, cacheReadInputTokens: 1, cacheCreationInputTokens: 0 };
    const spender = { supervisor: "app", session: '"user 1"', day: "2026-11-24", turns: 1 } as const;
    const change: Change = { type: "spent", ...spender, models: [{ model: "m", costUsd: 0.1, usage }] };
    await journal.write({ number: 1, changes: [change], durable: false });
    expect((await errorOf(journal.usage({ session: '"user 1"', by: [] }))).details).toEqual({ reason: "damaged" });
    expect((await journal.usage({ session: '"user 2"', by: [] }))[0]?.turns).toBe(0);
    await journal.close();
  });

  it("finds a turn by its id when only the index of ids is damaged", async () => {
    const path = await written();
    const whole = readFileSync(path);
    const copies = whole.toString("latin1").split("turn-7-of-many").length - 1;
    const damages: unknown[] = [];
    const heard = warnings();
    // One copy is the row's, one the index's, and others are left in free parts of pages.
    for (let nth = 0; nth < copies; nth += 1) {
      writeFileSync(path, whole);
      // The mark counts more openings than the restored file has.
      rmSync(markPath(path), { force: true });
      flip(path, "turn-7-of-many", nth);
      const journal = sqliteJournal({ sqlite: path });
      await journal.open(OWNER);
      damages.push(journal.damage);
      // SQLite removes the entry from the index that the index itself names, so the row may be intact.
      expect((await journal.turn("turn-7-of-many"))?.id).toBe("turn-7-of-many");
      await journal.close();
    }
    expect(
      damages.filter((damage) => damage !== undefined),
      JSON.stringify(damages),
    ).toHaveLength(1);
    await expect.poll(() => heard.filter((message) => message.includes("have been rebuilt"))).toHaveLength(1);
  });

  it("reports a session that cannot be found any more", async () => {
    const path = await written();
    flip(path, "user 2", 0);
    alter(path, `UPDATE sessions SET key = '"user Z"' WHERE key = '"user 4"'`);
    warnings();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    expect(journal.damage).toMatch(/damaged rows in sessions: \d/);
    await journal.close();
  });

  it("checks a file above 64 MB after it has opened it, and reports the damage then", async () => {
    const path = await written();
    const large = sqliteJournal({ sqlite: path });
    await large.open(OWNER);
    const prompt = "x".repeat(4 * 1024 ** 2);
    for (let number = 1; number <= 17; number += 1)
      await large.write(accepting(number, turn(`large ${number}`, { prompt })));
    await large.close();
    expect(statSync(path).size).toBeGreaterThan(64 * 1024 ** 2);
    alter(path, `UPDATE sessions SET key = '"user Z"' WHERE key = '"user 4"'`);
    const heard = warnings();
    const journal = sqliteJournal({ sqlite: path });
    await journal.open(OWNER);
    expect(journal.damage).toBeUndefined();
    // The check reads 64 MB beside other tests.
    await expect.poll(() => journal.damage, { timeout: 20_000 }).toContain("damaged rows in sessions: 1");
    await expect.poll(() => heard.some((message) => message.includes("rows in sessions"))).toBe(true);
    await journal.close();
  });
});
