import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type SessionOptions, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

const YEAR_MS = 366 * 24 * 60 * 60_000;

let api: MessagesApi;
let config: string;

beforeEach(async () => {
  api = await messagesApi();
  config = api.env["CLAUDE_CONFIG_DIR"] ?? "";
});

afterEach(async () => {
  await api.stop();
});

/** Makes every conversation look unused for a year. */
async function ageByAYear(): Promise<void> {
  const then = new Date(Date.now() - YEAR_MS);
  for (const { parentPath, name } of await readdir(config, { recursive: true, withFileTypes: true })) {
    await utimes(join(parentPath, name), then, then);
  }
}

/**
 * Writes a transcript so old that Claude Code deletes it in any case. Once it is gone, all others have been checked.
 */
async function ancientTranscript(): Promise<string> {
  const folder = join(config, "projects", "-ancient");
  await mkdir(folder, { recursive: true });
  const file = join(folder, "11111111-0000-4000-8000-000000000000.jsonl");
  await writeFile(file, '{"type":"user"}\n');
  execFileSync("touch", ["-t", "191001010000", file]);
  return file;
}

/** Where the settings are that delete everything older than a day. */
const SETTINGS = {
  "those of the machine": { settingSources: ["user"] },
  "those of the project": { settingSources: ["project"] },
  "a file of its own": { settings: "settings.json" },
  "a text": { settings: '{ "cleanupPeriodDays": 1 }' },
} satisfies Record<string, Partial<SessionOptions>>;

it.each(Object.entries(SETTINGS))(
  "a session unused for a year: wakes with its conversation beside a session that reads %s",
  { timeout: 120_000 },
  async (_, options: Partial<SessionOptions>) => {
    const short = '{ "cleanupPeriodDays": 1 }';
    await mkdir(join(api.cwd, ".claude"));
    for (const file of [join(config, "settings.json"), join(api.cwd, ".claude", "settings.json")]) {
      await writeFile(file, short);
    }
    await writeFile(join(api.cwd, "settings.json"), short);
    const [sleeper, other] = [unique(), unique()];
    const journal = { sqlite: join(api.cwd, "journal.sqlite") };
    const defaults = { env: api.env, cwd: api.cwd };
    const first = await Supervisor.start([{ name: sleeper }], { journal, defaults });
    await first.session(sleeper).query("My number is 17.");
    await first.stop();
    await ageByAYear();
    const ancient = await ancientTranscript();

    await using second = await Supervisor.start(
      [
        { name: sleeper, activation: "lazy" },
        { name: other, ...options },
      ],
      { journal, defaults },
    );
    await second.session(other).query("hello");
    await vi.waitUntil(() => !existsSync(ancient), { timeout: 100_000, interval: 50 });
    await second.session(sleeper).query("What is my number?");

    const said = api.lastRequest?.texts.filter(({ role }) => role !== "system").map(({ text }) => text);
    expect(said).toContain("My number is 17.");
    expect(second.session(sleeper).status().faults).toEqual([]);
  },
);
