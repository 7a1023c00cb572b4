import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query } from "../../src/castellan.ts";
import { nameKey } from "../../src/names.ts";
import { type FakeClaude, fakeClaude } from "../../src/testing/index.ts";
import { failure, unique } from "./scene.ts";

let folder: string;
let sqlite: string;
let fake: FakeClaude;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-garbled-"));
  sqlite = join(folder, "journal.db");
  fake = fakeClaude();
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function start(names: readonly string[]): Promise<Supervisor> {
  const children = names.map((name) => ({ name, spawnClaudeCodeProcess: fake.spawn }));
  return await Supervisor.start(children, { journal: { sqlite }, logger: { info: () => {}, warn: () => {} } });
}

/** Damages the JSON in a session's row, as a flipped bit does. SQLite does not notice. */
function garble(names: readonly string[]): void {
  const database = new DatabaseSync(sqlite);
  for (const name of names) {
    const { memory } = database.prepare("SELECT memory FROM sessions WHERE key = ?").get(nameKey(name)) ?? {};
    const garbled = String(memory).replace('"', "b");
    database.prepare("UPDATE sessions SET memory = ? WHERE key = ?").run(garbled, nameKey(name));
  }
  database.close();
}

test("Supervisor.start(): quarantines a session whose row in the journal is damaged, and starts the others", async () => {
  const names = [unique(), unique(), unique()];
  const [first = "", second = "", third = ""] = names;
  const before = await start(names);
  for (const name of names) await query(name, "hi");
  const conversation = before.session(first).status().conversationId;
  await before.stop();
  garble([second]);
  const after = await start(names);
  try {
    expect(after.notStarted.map(({ name }) => name)).toEqual([second]);
    expect(after.notStarted[0]?.error.message).toContain("is damaged");
    await failure(query(second, "hi"), "SESSION_QUARANTINED");
    for (const name of [first, third]) expect((await query(name, "hi")).text).toBe("You said: hi");
    expect(after.session(first).status().conversationId).toBe(conversation);
  } finally {
    await after.stop();
  }
});

test("Supervisor.start(): rejects with JOURNAL_UNAVAILABLE when every row is damaged", async () => {
  const names = [unique(), unique()];
  const before = await start(names);
  for (const name of names) await query(name, "hi");
  await before.stop();
  garble(names);
  const error = await failure(start(names), "JOURNAL_UNAVAILABLE");
  expect(error.details.reason).toBe("damaged");
});
