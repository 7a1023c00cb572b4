import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JournalOptions } from "../../src/application/options/journal-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
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

test.each([
  ["disk", "journal"],
  [{}, "journal.sqlite"],
  [{ sqlite: "" }, "journal.sqlite"],
  [{ sqlite: "a.db", waitForOwner: "soon" }, "journal.waitForOwner"],
  [{ sqlite: "a.db", retention: { maxTurns: -1 } }, "journal.retention.maxTurns"],
  [{ sqlite: "a.db", retention: { maxDays: 3 } }, "journal.retention"],
  [{ sqlite: "a.db", retention: { maxEvents: 1.5 } }, "journal.retention.maxEvents"],
  [{ sqlite: "a.db", retention: { maxEventBytes: "much" } }, "journal.retention.maxEventBytes"],
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
