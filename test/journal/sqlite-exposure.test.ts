import { chmod, chown, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { exposureOf } from "../../src/journal/sqlite/sqlite-exposure.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-exposure-"));
  file = join(folder, "journal.db");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function warningsOf(sqlite: string): Promise<string[]> {
  const said: string[] = [];
  const logger = { info: () => {}, warn: (message: string) => void said.push(message) };
  await (await Supervisor.start([], { journal: { sqlite }, logger })).stop();
  return said;
}

test("sqliteJournal: creates files and folder for its user only, under any umask, without a warning", async () => {
  const before = process.umask(0);
  try {
    const made = join(folder, "new", "journal.db");
    expect(await warningsOf(made)).toEqual([]);
    for (const path of [join(folder, "new"), made, `${made}-owner`]) expect((await stat(path)).mode & 0o077).toBe(0);
  } finally {
    process.umask(before);
  }
});

test.skipIf(process.platform === "win32")(
  "exposureOf: warns of a file that others can read, change or replace, also through a link",
  async () => {
    await writeFile(file, "");
    await symlink(file, join(folder, "link.db"));
    await chmod(file, 0o644);
    expect(await warningsOf(file)).toEqual([
      expect.stringMatching(/^Every user of this machine can read the journal .*journal\.db; .*chmod 600/),
    ]);
    expect(await warningsOf(join(folder, "link.db"))).toHaveLength(1);
    await chmod(file, 0o666);
    expect(exposureOf(file)).toEqual([expect.stringContaining("can read and change")]);
    await chmod(file, 0o640);
    expect(exposureOf(file)).toEqual([]);
    await chmod(folder, 0o777);
    expect(exposureOf(file)).toEqual([expect.stringContaining("can replace")]);
    await chmod(folder, 0o1777);
    expect(exposureOf(file)).toEqual([]);
  },
);

// Only root may give files to others, and root may read everything, so the test drops its rights.
test.skipIf(process.geteuid?.() !== 0)("exposureOf: warns of a file of another user, except to root", async () => {
  await writeFile(file, "", { mode: 0o600 });
  await chown(file, 12345, 12345);
  expect(exposureOf(file)).toEqual([]);
  await chmod(folder, 0o755);
  process.seteuid?.(54321);
  try {
    expect(exposureOf(file)).toContainEqual(expect.stringContaining("belongs to user 12345"));
  } finally {
    process.seteuid?.(0);
  }
});
