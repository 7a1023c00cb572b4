import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { ALL_KEYS, type SessionListQuery } from "../../src/journal/model/session-list.ts";
import type { TurnQuery } from "../../src/journal/model/turn-entry.ts";
import { EVENT_SQL } from "../../src/journal/sqlite/sqlite-event-statements.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { sessionsQuestion, turnsQuestion } from "../../src/journal/sqlite/sqlite-statements.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "./sqlite-scene.ts";

/** The steps of SQLite's plan for a page of turns. */
function planOf(database: DatabaseSync, query: Omit<TurnQuery, "session" | "limit">): string[] {
  const { sql, parameters } = turnsQuestion({ session: '"a"', limit: 10, ...query });
  return database
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all(...parameters)
    .map(({ detail }) => String(detail));
}

describe("sessions of a SQLite journal", () => {
  it("are found by an index in their order, so that a page takes constant time", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.close();
    using database = new DatabaseSync(sqlite, { readOnly: true });
    const planOfPage = (query: Partial<SessionListQuery>): string => {
      const all = { archived: false, range: ALL_KEYS, limit: 10, ...query };
      const { sql, parameters } = sessionsQuestion(all);
      const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters);
      return plan.map(({ detail }) => String(detail)).join("\n");
    };
    const present = planOfPage({ supervisor: "s", after: '"a"' });
    expect(present).toContain("SEARCH sessions USING INDEX present_sessions (supervisor=? AND key>? AND key<?)");
    expect(planOfPage({ supervisor: "s", archived: true })).toContain("USING INDEX archived_sessions");
    const labelled = planOfPage({ supervisor: "s", labels: { user: "1", plan: "free" } });
    expect(labelled).toContain("SEARCH first USING PRIMARY KEY (label=? AND value=? AND key>? AND key<?)");
    const created = planOfPage({
      supervisor: "s",
      byCreation: { newestFirst: true, after: { createdAt: 1, key: '"a"' }, from: 0 },
    });
    expect(created).toContain(
      "SEARCH sessions USING INDEX present_sessions_by_creation (supervisor=? AND <expr>>? AND <expr><?)",
    );
    const query = { supervisor: "s", range: ALL_KEYS, limit: 1, byCreation: { newestFirst: false } };
    const { sql, parameters } = sessionsQuestion(query);
    const [both] = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters);
    expect(both?.["detail"]).toBe("SEARCH sessions USING INDEX sessions_by_creation (supervisor=?)");
    for (const plan of [present, labelled, created]) expect(plan).not.toContain("TEMP B-TREE");
  });
});

describe("contents of a SQLite journal", () => {
  it("are found for a session by indexes alone, so that the number of references does not count", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.close();
    using database = new DatabaseSync(sqlite, { readOnly: true });
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${EVENT_SQL.contentOf}`).all("hash", '"a"', '"a"');
    const steps = plan.map(({ detail }) => String(detail)).filter((detail) => detail.startsWith("S"));
    expect(steps.filter((step) => step.includes(" other "))).toEqual([
      "SEARCH other USING PRIMARY KEY (hash=? AND log=?)",
      "SEARCH other USING COVERING INDEX contents_of_session (hash=? AND session=?)",
    ]);
    expect(steps.filter((step) => step.startsWith("SCAN") && !step.endsWith("CONSTANT ROW"))).toEqual([]);
  });
});

describe("turns of a SQLite journal", () => {
  it("are found by an index in their order, so that a page takes constant time", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.close();
    using database = new DatabaseSync(sqlite, { readOnly: true });
    for (const query of [{}, { before: "t" }, { states: ["failed"] }] as const) {
      const plan = planOf(database, query);
      expect(plan.some((step) => step.startsWith("SEARCH turns USING INDEX turns_by_number (session=?"))).toBe(true);
    }
    const unfinished = planOf(database, { states: ["running"] });
    expect(unfinished.some((step) => step.startsWith("SEARCH turns USING INDEX unfinished_turns (session=?"))).toBe(
      true,
    );
  });

  it("report changed metadata, and who asked, as damage, and those before it without", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t1", { by: "ann", metadata: { user: 1 } })));
    await journal.write(accepting(2, turn("t2")));
    await journal.close();
    const damage = [
      ...["metadata = '{}'", "metadata = NULL", "origin = 'task'", "details_checksum = NULL"],
      ...["asked_by = 'bob'", "asked_by = NULL", "asker_checksum = NULL"],
    ];
    for (const change of damage) {
      const before = new DatabaseSync(sqlite);
      const row = before
        .prepare("SELECT origin, metadata, details_checksum, asked_by, asker_checksum FROM turns WHERE id = 't1'")
        .get();
      before.exec(`UPDATE turns SET ${change} WHERE id = 't1'`);
      before.close();
      await journal.open(OWNER);
      expect((await journal.turns({ session: '"a"', limit: 9 })).map(({ id }) => id)).toEqual(["t2"]);
      const error = await errorOf(journal.turns({ session: '"a"', before: "t2", limit: 9 }));
      expect(error.details).toEqual({ reason: "damaged" });
      expect(error.message).toContain("turn t1");
      await journal.close();
      using after = new DatabaseSync(sqlite);
      after
        .prepare(
          "UPDATE turns SET origin = ?, metadata = ?, details_checksum = ?, asked_by = ?, asker_checksum = ? WHERE id = 't1'",
        )
        .run(...Object.values(row ?? {}));
    }
  });
});
