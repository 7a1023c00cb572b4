import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { InMemorySessionStore } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { command, query, Supervisor, type SupervisorOptions, session } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MockApi;
let folder: string;

beforeEach(async () => {
  api = await mockApi();
  folder = await realpath(await mkdtemp(join(tmpdir(), "castellan-journal-")));
});

afterEach(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

const options = (defaults: SupervisorOptions["defaults"] = {}): SupervisorOptions => ({
  journal: { sqlite: join(folder, "castellan.db") },
  defaults: { env: api.env, cwd: api.cwd, ...defaults },
});

/** Runs an application, asks what was said before, and says something. */
async function say(name: string, number: number, defaults?: SupervisorOptions["defaults"]): Promise<string> {
  await using _ = await Supervisor.start([{ name }], options(defaults));
  const { text } = await query(name, "What did I just say?");
  await query(name, `My number is ${number}.`);
  return text;
}

describe("a session over restarts of the application", () => {
  it("keeps its conversation when its working directory is a link or changes", async () => {
    const name = unique();
    const [link, other] = [join(folder, "link"), join(folder, "other")];
    await symlink(api.cwd, link);
    await mkdir(other);
    expect(await say(name, 1)).toBe("You have not said anything yet.");
    expect(await say(name, 2, { cwd: link })).toBe("You just said: My number is 1.");
    const changed = { cwd: other, systemPrompt: "Be brief.", maxTurns: 3 };
    expect(await say(name, 3, changed)).toBe("You just said: My number is 2.");
  });

  it("keeps its conversation when CLAUDE_CONFIG_DIR changes, and when it changes back", async () => {
    const name = unique();
    const moved = { ...api.env, CLAUDE_CONFIG_DIR: join(folder, "claude") };
    await say(name, 1);
    expect(await say(name, 2, { env: moved })).toBe("You just said: My number is 1.");
    // The transcript left in the first directory is older than the one in the second.
    expect(await say(name, 3)).toBe("You just said: My number is 2.");
  });

  it("keeps the effects of clear, fork and Claude Code's /clear", async () => {
    const [name, fork] = [unique(), unique("fork")];
    {
      await using _ = await Supervisor.start([{ name }], options());
      await query(name, "first");
      await (await session(name).fork(fork)).query("in the fork");
      await query(name, command("clear"));
      await query(name, "second");
    }
    {
      await using _ = await Supervisor.start([{ name }, { name: fork }], options());
      expect((await query(name, "What did I just say?")).text).toBe("You just said: second");
      expect((await query(fork, "What did I just say?")).text).toBe("You just said: in the fork");
      await session(name).clear();
    }
    await using _ = await Supervisor.start([{ name }], options());
    expect((await query(name, "What did I just say?")).text).toBe("You have not said anything yet.");
    const said = api.lastRequest?.messages.map(({ text }) => text).join();
    expect(said).not.toContain("second");
  });

  it("sums up the cost of each turn once", async () => {
    const name = unique();
    api.reply(/./, { text: "Yes.", usage: { inputTokens: 1000, outputTokens: 100 } });
    let sum = 0;
    for (let n = 0; n < 2; n++) {
      await using _ = await Supervisor.start([{ name }], options());
      for (const prompt of ["one", "two"]) sum += (await query(name, prompt)).costUsd;
      process.kill(session(name).status().pid ?? 0, "SIGKILL");
      sum += (await query(name, "three")).costUsd;
    }
    await using _ = await Supervisor.start([{ name }], options());
    const [total] = await session(name).usage();
    expect(total?.usage).toMatchObject({ inputTokens: 6_000, outputTokens: 600 });
    expect(total?.costUsd).toBeCloseTo(sum, 8);
    expect(sum).toBeGreaterThan(0);
  });

  it("keeps its conversation when Claude Code's transcripts are deleted", async () => {
    const name = unique();
    await say(name, 1);
    await rm(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "projects"), { recursive: true });
    expect(await say(name, 2)).toBe("You just said: My number is 1.");
  });

  it('is quarantined with conversation_missing when the only transcript is gone, or starts fresh with onMissingConversation "fresh"', async () => {
    const name = unique();
    const local = { ...options(), journal: { sqlite: join(folder, "castellan.db"), transcripts: "local" } as const };
    {
      await using _ = await Supervisor.start([{ name }], local);
      await query(name, "My number is 1.");
    }
    await rm(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "projects"), { recursive: true });
    {
      await using supervisor = await Supervisor.start([{ name }], local);
      expect(supervisor.notStarted[0]?.error.code).toBe("SESSION_QUARANTINED");
      expect(session(name).status().lastExit?.class).toBe("conversation_missing");
    }
    await using _ = await Supervisor.start([{ name, onMissingConversation: "fresh" }], local);
    expect((await query(name, "What did I just say?")).text).toBe("You have not said anything yet.");
  });

  it("returns the same turn and reply for the same idempotency key, and asks the model once", async () => {
    const name = unique();
    const ask = async (): Promise<[string, string | undefined]> => {
      await using _ = await Supervisor.start([{ name }], options());
      const id = await session(name).enqueue("invoice 7", { idempotencyKey: "invoice-7" });
      return [id, (await (await session(name).turn(id))?.result())?.text];
    };
    const first = await ask();
    expect(first[1]).toBe("You said: invoice 7");
    expect(await ask()).toEqual(first);
    expect(api.requests.filter(({ prompt }) => prompt === "invoice 7")).toHaveLength(1);
  });

  it("rejects turns with BUDGET_EXCEEDED when an earlier run has spent the budget", async () => {
    const name = unique();
    await say(name, 1);
    await using _ = await Supervisor.start([{ name, budget: { usd: 0.000_001 } }], options());
    const error = await query(name, "hello").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "BUDGET_EXCEEDED", details: { scope: "session", limitUsd: 0.000_001 } });
    expect(api.requests.filter(({ prompt }) => prompt === "hello")).toEqual([]);
  });

  it("keeps its conversation in a session store when the working directory changes", async () => {
    const [name, other] = [unique(), join(folder, "other")];
    await mkdir(other);
    const sessionStore = new InMemorySessionStore();
    await say(name, 1, { sessionStore });
    expect(await say(name, 2, { sessionStore, cwd: other })).toBe("You just said: My number is 1.");
    expect(sessionStore.size).toBe(1);
  });
});

describe("a session store that rejects appends", () => {
  it("is reported as a fault, and does not hold up the turn", async () => {
    const name = unique();
    const store = new InMemorySessionStore();
    const sessionStore = {
      append: () => Promise.reject(new Error("no room")),
      load: (key: Parameters<typeof store.load>[0]) => store.load(key),
    };
    await using _ = await Supervisor.start([{ name, sessionStore }], options());
    expect((await query(name, "hello")).text).toBe("You said: hello");
    const { faults } = session(name).status();
    expect(faults[0]).toMatchObject({ kind: "mirror_error", message: expect.stringContaining("no room") });
    expect(await session(name).health()).toMatchObject({ status: "degraded" });
  });
});

describe("a conversation that another application holds", () => {
  it("is refused while that application lives, and free once it is dead", async () => {
    const args = [
      join(import.meta.dirname, "../real/holding-host.ts"),
      JSON.stringify(api.env),
      api.cwd,
      join(folder, "host.db"),
    ];
    const host = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: host.stdout }), "line");
    const resume = String(line);
    const thief = unique("thief");
    const refused = await Supervisor.start([{ name: thief, resume }], options());
    expect(refused.notStarted[0]?.error.message).toContain(`process ${host.pid}`);
    expect(refused.session(thief).status()).toMatchObject({ state: "quarantined", lastExit: { class: "bad_config" } });
    host.kill("SIGKILL");
    await once(host, "exit");
    await refused.restartSession(thief);
    expect((await query(thief, "What did I just say?")).text).toBe("You just said: hello");
    await refused.stop();
    // A Claude Code that mirrors its transcript does not end by itself when its host dies; the orphan killer ends it.
    const left = () => processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`);
    await expect.poll(left, { timeout: 5_000 }).toEqual([]);
    expect(await readdir(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "castellan-locks"))).toEqual(["guard"]);
  });
});
