import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JournalOptions } from "../../src/application/options/journal-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Retention } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { appending, event } from "../../src/testing/conformance/journal-case.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

let folder: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "castellan-options-")));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const fake = fakeClaude();

const start = (name: string, journal?: JournalOptions): Promise<Supervisor> =>
  Supervisor.start([{ name, spawnClaudeCodeProcess: fake.spawn }], journal === undefined ? {} : { journal });

/** Returns the conversation that a name has with this journal. */
async function conversation(name: string, journal?: JournalOptions): Promise<string> {
  await using supervisor = await start(name, journal);
  return (await supervisor.query(name, "hi")).sessionId;
}

test("journal: resolves paths and links to one SQLite file, which two supervisors may share", async () => {
  const name = unique();
  const link = join(folder, "link");
  await mkdir(join(folder, "data"));
  await symlink(join(folder, "data"), link);
  const ways = [join(folder, "data", "a.db"), join(link, "a.db"), join(folder, "data", "..", "data", "a.db")];
  const ids = [];
  for (const sqlite of ways) ids.push(await conversation(name, { sqlite }));
  expect(new Set(ids).size).toBe(1);
  expect(await conversation(name, { sqlite: join(folder, "b.db") })).not.toBe(ids[0]);
  // Two supervisors may share the file.
  await using one = await start(unique(), { sqlite: ways[0] ?? "" });
  await using two = await start(unique(), { sqlite: ways[1] ?? "" });
  expect([one.countSessions(), two.countSessions()]).toEqual([1, 1]);
});

test("CASTELLAN_JOURNAL: applies when the application names no journal", async () => {
  const name = unique();
  const sqlite = join(folder, "environment.db");
  vi.stubEnv("CASTELLAN_JOURNAL", sqlite);
  const id = await conversation(name);
  expect(await conversation(name)).toBe(id);
  expect(await conversation(name, { sqlite })).toBe(id);
  vi.stubEnv("CASTELLAN_JOURNAL", "memory");
  expect(await conversation(name)).not.toBe(id);
  vi.stubEnv("CASTELLAN_JOURNAL", "postgres://nobody@127.0.0.1:1/none");
  expect((await failure(start(name), "JOURNAL_UNAVAILABLE")).details.reason).toBe("unreachable");
});

test("journal: defaults to `.castellan/castellan.db` in the working directory", async () => {
  const before = process.cwd();
  vi.stubEnv("CASTELLAN_JOURNAL", "");
  process.chdir(folder);
  try {
    const name = unique();
    const id = await conversation(name);
    expect(await conversation(name, { sqlite: join(folder, ".castellan", "castellan.db") })).toBe(id);
  } finally {
    process.chdir(before);
  }
});

test("journal.retention: keeps 30 days, 1,000 turns, 100,000 events and 256 MB of events by default", async () => {
  const pruned: Retention[] = [];
  const prune = async (retention: Retention): Promise<number> => pruned.push(retention);
  const from = Date.now();
  await using _ = await start(unique(), Object.assign(memoryJournal(), { prune }));
  const [{ endedSince = 0, turnsPerSession, events } = {}] = pruned;
  expect((from - endedSince) / 86_400_000).toBeCloseTo(30, 2);
  expect(turnsPerSession).toBe(1_000);
  expect(events).toEqual({ since: endedSince, perSession: 100_000, bytesPerSession: 256 * 1024 ** 2 });
});

test.each([
  ["maxEvents", 3, [3, 4, 5]],
  ["maxEventBytes", "40B", [4, 5]],
  ["maxAge", "1d", [2, 3, 4, 5]],
])("journal.retention: deletes events beyond %s", async (option, value, left) => {
  const sqlite = join(folder, "castellan.db");
  const journal = sqliteJournal({ sqlite });
  const owner = { id: "earlier", pid: 1, host: "here", startedAt: 0 };
  await journal.open(owner);
  const now = Date.now();
  const events = [1, 2, 3, 4, 5].map((number) => event(number, { at: number === 1 ? now - 2 * 86_400_000 : now }));
  await journal.write({ number: 1, changes: appending(...events), durable: true });
  await journal.close();
  const supervisor = await Supervisor.start([], { journal: { sqlite, retention: { [option]: value } } });
  using reader = new DatabaseSync(sqlite, { readOnly: true });
  const stored = reader.prepare("SELECT first, last FROM events WHERE log = 1");
  await expect.poll(() => stored.all()).toEqual([{ first: left[0], last: left.at(-1) }]);
  await supervisor.stop();
});

test.each([
  ["disk", "journal"],
  [{}, "journal.sqlite"],
  [{ sqlite: "" }, "journal.sqlite"],
  [{ sqlite: "a.db", waitForOwner: "soon" }, "journal.waitForOwner"],
  [{ sqlite: "a.db", retention: { maxTurns: -1 } }, "journal.retention.maxTurns"],
  [{ sqlite: "a.db", retention: { maxDays: 3 } }, "journal.retention"],
  [{ sqlite: "a.db", retention: { maxEvents: 1.5 } }, "journal.retention.maxEvents"],
  [{ sqlite: "a.db", retention: { maxEventBytes: "much" } }, "journal.retention.maxEventBytes"],
  [{ sqlite: "a.db", transcripts: "never" }, "journal.transcripts"],
  [{ sqlite: "a.db", sync: true }, "journal.sync"],
  [{ postgres: "mysql://a" }, "journal.postgres"],
  [{ postgres: "postgres://a", schema: 'a"; drop' }, "journal.schema"],
  [7, "journal"],
  [null, "journal"],
])("journal: rejects %j by field", async (wrong, field) => {
  const error = await failure(start(unique(), wrong as JournalOptions), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe(field);
});

test("journal: rejects a file that is no journal, and frees the names", async () => {
  const sqlite = join(folder, "notes.txt");
  await writeFile(sqlite, "not a database, but somebody's notes");
  const name = unique();
  const error = await failure(start(name, { sqlite }), "JOURNAL_UNAVAILABLE");
  expect(error.details.reason).toBe("damaged");
  expect(error.message).toContain(sqlite);
  await using supervisor = await start(name, memoryJournal());
  expect(supervisor.countSessions()).toBe(1);
});
