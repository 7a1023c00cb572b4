import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { messagesApi } from "../../src/testing/index.ts";
import type { MessagesRequest } from "../../src/testing/mock-api/messages-request.ts";

const STARTS = 20;

/** Every how many starts a kill ends the one before in mid-turn. */
const KILLED_EVERY = 4;

/** The ids of users, none of which needs to exist. Only root can start processes as other users. */
const FIRST_USER = 61_000;
const isRoot = process.getuid?.() === 0;

function wordsIn({ body }: MessagesRequest): string[] {
  return [...new Set(JSON.stringify(body.messages).match(/word-\d+/g))];
}

/** Claude calls a command that never ends if asked to; otherwise it says what it knows. */
function answer(request: MessagesRequest) {
  const last = request.texts.findLast(({ role }) => role === "user")?.text ?? "";
  const command = "tail -f /dev/null";
  if (last.includes("and wait")) return { toolUses: [{ name: "Bash", input: { command, description: "Wait" } }] };
  return { text: `I know ${wordsIn(request).join(" ")}.` };
}

it("an application whose home, working directory and user are new at every start forgets nothing", async () => {
  await using api = await messagesApi(answer);
  const root = dirname(api.cwd);
  chmodSync(root, 0o755);
  const folder = join(root, "journal");
  mkdirSync(folder);
  const journal = join(folder, "castellan.db");

  /** Starts the application as a new user in a new place, to which only the journal comes along. */
  const start = (n: number, prompt: string): ChildProcess => {
    const [home, cwd] = [join(root, `home-${n}`), join(root, `work-${n}`)];
    for (const path of [home, cwd]) mkdirSync(path);
    const uid = FIRST_USER + n;
    if (isRoot) {
      for (const path of [home, cwd, folder, ...readdirSync(folder).map((file) => join(folder, file))]) {
        chownSync(path, uid, uid);
      }
    }
    const { HOME: _, CLAUDE_CONFIG_DIR: _1, ...env } = api.env;
    return spawn(process.execPath, [join(import.meta.dirname, "moving-host.ts"), journal, cwd, prompt], {
      cwd,
      env: { ...env, HOME: home, TMPDIR: cwd },
      stdio: ["ignore", "pipe", "inherit"],
      ...(isRoot && { uid, gid: uid }),
    });
  };

  const outcomeOf = async (n: number, prompt: string): Promise<unknown> => {
    const { stdout } = start(n, prompt);
    if (stdout === null) throw new Error("no output");
    const outcome: unknown = JSON.parse(await text(stdout));
    rmSync(join(root, `home-${n}`), { recursive: true, force: true });
    return outcome;
  };

  /** Kills the application in mid-turn, once the journal has the turn's prompt. */
  const killIn = async (n: number, word: string): Promise<void> => {
    const host = start(n, `This is ${word}, remember it and wait.`);
    const gone = new Promise((resolve) => host.once("exit", resolve));
    await expect.poll(() => isJournaled(journal, word), { timeout: 30_000, interval: 50 }).toBe(true);
    host.kill("SIGKILL");
    await gone;
    rmSync(join(root, `home-${n}`), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };

  const words: string[] = [];
  for (let n = 1; n <= STARTS; n += 1) {
    const word = `word-${n}`;
    words.push(word);
    if (n % KILLED_EVERY === 0) await killIn(n, word);
    else {
      const { text: said } = (await outcomeOf(n, `This is ${word}.`)) as { text: string };
      expect(said).toBe(`I know ${words.join(" ")}.`);
    }
  }
  const { text: said, faults } = (await outcomeOf(STARTS + 1, "What do you know?")) as {
    text: string;
    faults: unknown;
  };
  expect(said).toBe(`I know ${words.join(" ")}.`);
  expect(faults).toEqual([]);
  const { messages } = (await outcomeOf(STARTS + 2, "")) as { messages: number };
  expect(messages).toBeGreaterThanOrEqual(2 * (STARTS + 1));
  expect(existsSync(join(root, "home-1"))).toBe(false);
  expect(statSync(journal).size).toBeGreaterThan(0);
  expect(api.errors).toEqual([]);
}, 600_000);

/** Whether a transcript in the journal has the word in a message that called a tool. */
function isJournaled(path: string, word: string): boolean {
  try {
    using database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare("SELECT lines FROM transcript_parts ORDER BY position").all();
    const lines = rows.map((row) => String(row["lines"])).join("");
    const at = lines.indexOf(word);
    return at >= 0 && lines.indexOf('"tool_use"', at) >= 0;
  } catch {
    // The application opens it at this moment.
    return false;
  }
}
