import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { ALL_KEYS } from "../../src/journal/model/session-list.ts";
import { checksumOf } from "../../src/journal/sqlite/sqlite-checksum.ts";
import { verdictOn } from "../../src/journal/sqlite/sqlite-inspection.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { APPLICATION_ID, MIGRATIONS, migrate } from "../../src/journal/sqlite/sqlite-schema.ts";
import { SqliteThread } from "../../src/journal/sqlite/sqlite-thread.ts";
import { appending, content, event } from "../../src/testing/conformance/journal-case.ts";
import { accepting, errorOf, newFolder, OWNER, turn } from "./sqlite-scene.ts";

const FIRST = MIGRATIONS[0] ?? "";

/** The number of migrations of the last release without events. */
const BEFORE_EVENTS = 5;

/** The number of migrations of the last release without metadata of turns. */
const BEFORE_METADATA = 6;

/** The number of migrations of the last release whose references from turns lack the session. */
const BEFORE_CONTENTS_OF_SESSIONS = 13;

/** An invented earlier release: its first schema version lacks a column, which its second version adds. */
const EARLIER = FIRST.replace("queue_timeout_ms REAL,", "");
const LATER = "ALTER TABLE turns ADD COLUMN queue_timeout_ms REAL";

function versionOf(path: string): unknown {
  using database = new DatabaseSync(path, { readOnly: true });
  return database.prepare("PRAGMA user_version").get()?.["user_version"];
}

describe("verdictOn a file", () => {
  it.each([
    [{ applicationId: 0, version: 0, objects: 0 }, "empty"],
    [{ applicationId: APPLICATION_ID, version: 1, objects: 9 }, "ours"],
    [{ applicationId: APPLICATION_ID, version: 2, objects: 9 }, "ours"],
    [{ applicationId: APPLICATION_ID, version: 3, objects: 9 }, "newer"],
    [{ applicationId: 0, version: 0, objects: 1 }, "foreign"],
    [{ applicationId: 0, version: 1, objects: 0 }, "foreign"],
    [{ applicationId: 1, version: 0, objects: 0 }, "foreign"],
    [{ applicationId: 1, version: 2, objects: 9 }, "foreign"],
  ])("with %o is %s", (facts, verdict) => {
    expect(verdictOn(facts, 2)).toBe(verdict);
  });
});

describe("migration of a SQLite journal", () => {
  it("brings a file of an earlier release up to date, with its data", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    expect(EARLIER).not.toBe(FIRST);
    const thread = new SqliteThread();
    const old = await thread.connect(sqlite);
    await migrate(old, 0, [EARLIER]);
    await old.exec(`INSERT INTO turns (id, session, prompt, position, durable, accepted_at, state, attempts, touched)
      VALUES ('old', '"a"', 'hello', 0, 1, 1, 'queued', 0, 0)`);
    await thread.end();
    const [, ...since] = MIGRATIONS;
    const migrations = [EARLIER, LATER, ...since, "CREATE TABLE last (a); INSERT INTO last VALUES (3)"];
    const journal = sqliteJournal({ sqlite }, { migrations });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("new", { queueTimeoutMs: 5 })));
    expect(await journal.turn("old")).toEqual({ ...turn("old"), state: "queued", attempts: 0, touched: false });
    expect((await journal.turn("new"))?.queueTimeoutMs).toBe(5);
    await journal.close();
    expect(versionOf(sqlite)).toBe(migrations.length);
    // A migration runs once.
    await journal.open(OWNER);
    using tool = new DatabaseSync(sqlite, { readOnly: true });
    expect({ ...tool.prepare("SELECT count(*) AS rows FROM last").get() }).toEqual({ rows: 1 });
    await journal.close();
  });

  it("reads prompts of earlier releases as text", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const thread = new SqliteThread();
    const old = await thread.connect(sqlite);
    await migrate(old, 0, [FIRST]);
    await old.exec(`INSERT INTO turns (id, session, prompt, position, durable, accepted_at, state, attempts, touched)
      VALUES ('old', '"a"', '/compact', 0, 1, 1, 'queued', 0, 0)`);
    await thread.end();
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    expect(await journal.turn("old")).not.toHaveProperty("promptKind");
    await journal.write(accepting(1, turn("new", { promptKind: "command" })));
    expect((await journal.turn("new"))?.promptKind).toBe("command");
    await journal.close();
  });

  it("lets a file of a release without events have some", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const thread = new SqliteThread();
    const old = await thread.connect(sqlite);
    await migrate(old, 0, MIGRATIONS.slice(0, BEFORE_EVENTS));
    await old.exec(`INSERT INTO sessions (key, supervisor, conversation_id, memory, saved_at, checksum)
      VALUES ('"a"', 's', 'c', '{}', 1, ${checksumOf('"a"', "s", "c", "{}", 1)})`);
    await thread.end();
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    expect(await journal.sessions(['"a"'])).toHaveLength(1);
    expect(await journal.eventExtent('"a"')).toBeUndefined();
    await journal.write({ number: 1, changes: appending(event(1)), durable: false });
    expect(await journal.events({ session: '"a"', limit: 9 })).toEqual([event(1)]);
    await journal.close();
  });

  it("knows to which session the contents of a release without that belong", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const thread = new SqliteThread();
    const old = await thread.connect(sqlite);
    await migrate(old, 0, MIGRATIONS.slice(0, BEFORE_CONTENTS_OF_SESSIONS));
    const prompt = content("a prompt");
    await old.exec(`INSERT INTO turns (seq, id, session, prompt, position, durable, accepted_at, state, attempts, touched)
        VALUES (7, 'old', '"a"', '{}', 0, 1, 1, 'queued', 0, 0);
      INSERT INTO contents (hash, checksum, data)
        VALUES ('${prompt.hash}', ${checksumOf(prompt.hash, null, prompt.data)}, CAST('a prompt' AS BLOB));
      INSERT INTO turn_contents (hash, turn) VALUES ('${prompt.hash}', 7)`);
    await thread.end();
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    expect(await journal.content(prompt.hash, '"a"')).toEqual(prompt);
    expect(await journal.content(prompt.hash, '"b"')).toBeUndefined();
    await journal.close();
  });

  it("lets turns and sessions of a release without metadata and descriptions be read and listed", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const thread = new SqliteThread();
    const old = await thread.connect(sqlite);
    await migrate(old, 0, MIGRATIONS.slice(0, BEFORE_METADATA));
    const accepted = checksumOf("old", '"a"', "hello", null, 1, null, null, 1);
    const progress = checksumOf("old", 0, "queued", 0, null, 0, null, checksumOf(null));
    await old.exec(`INSERT INTO turns (id, session, prompt, position, durable, accepted_at, state, attempts, touched,
        accepted_checksum, progress_checksum) VALUES ('old', '"a"', 'hello', 0, 1, 1, 'queued', 0, 0, ${accepted}, ${progress});
      INSERT INTO sessions (key, supervisor, conversation_id, memory, saved_at, checksum) VALUES
        ('"a"', 's', 'c', '{}', 5, ${checksumOf('"a"', "s", "c", "{}", 5)}),
        ('"b"', 's', 'c', '{}', 7, ${checksumOf('"b"', "s", "c", "{}", 7)})`);
    await thread.end();
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("new", { metadata: { user: 1 } })));
    const queued = { state: "queued", attempts: 0, touched: false } as const;
    expect(await journal.turns({ session: '"a"', limit: 9 })).toEqual([
      { ...turn("new", { metadata: { user: 1 } }), ...queued },
      { ...turn("old"), ...queued },
    ]);
    // The earliest time that the file knows of a session.
    const listed = await journal.listSessions({ archived: false, range: ALL_KEYS, limit: 9 });
    expect(listed.map(({ key, description }) => [key, description])).toEqual([
      ['"a"', { createdAt: 1 }],
      ['"b"', { createdAt: 7 }],
    ]);
    await journal.close();
  });

  it("leaves the file unchanged if it fails", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const journal = sqliteJournal({ sqlite });
    await journal.open(OWNER);
    await journal.write(accepting(1, turn("t")));
    await journal.close();
    const wrong = sqliteJournal(
      { sqlite },
      { migrations: [...MIGRATIONS, "DELETE FROM turns; SELECT a FROM nowhere"] },
    );
    const error = await errorOf(wrong.open(OWNER));
    expect(error.details).toEqual({ reason: "failed" });
    expect(error.message).toContain("no such table: nowhere");
    expect(versionOf(sqlite)).toBe(MIGRATIONS.length);
    await journal.open(OWNER);
    expect(await journal.turn("t")).toBeDefined();
    await journal.close();
  });

  it("records the owner before it begins, since it may take long, and after it created a file", async () => {
    const thread = new SqliteThread();
    const database = await thread.connect(":memory:");
    const versions: unknown[] = [];
    const begun = async (): Promise<void> => {
      versions.push((await database.get("PRAGMA user_version"))?.["user_version"]);
    };
    await migrate(database, 0, [EARLIER, LATER], begun);
    await migrate(database, 2, [EARLIER, LATER, "CREATE TABLE third (a)"], begun);
    expect(versions).toEqual([2, 2]);
    await thread.end();
  });
});
