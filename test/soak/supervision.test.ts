import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { query, Supervisor, stream } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { commandOf, processesWith } from "../real/processes.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

const quiet = { info: () => {}, warn: () => {} };

function here(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

describe("Quarantine and restart of a session", () => {
  it("quarantines a session that keeps crashing, while another session's turn in flight finishes", async () => {
    await using supervisor = await Supervisor.start([{ name: "crashing" }, { name: "steady" }], {
      defaults: { env: api.env, cwd: api.cwd },
      logger: quiet,
    });
    api.reply("slowly", { text: "one two three four five six seven eight", tokensPerSecond: 4 });
    const steady = stream("steady", "Count slowly.");
    const since = performance.now();
    for (const _ of [1, 2, 3, 4]) {
      const pid = await vi.waitUntil(() => supervisor.session("crashing").status().pid, {
        interval: 5,
        timeout: 30_000,
      });
      process.kill(pid, "SIGKILL");
      await vi.waitUntil(() => supervisor.session("crashing").status().pid !== pid, { interval: 5, timeout: 30_000 });
    }
    await vi.waitUntil(() => supervisor.session("crashing").status().state === "quarantined", { timeout: 5_000 });
    expect(performance.now() - since).toBeLessThan(5_000);

    await expect(query("crashing", "hello")).rejects.toMatchObject({
      code: "SESSION_QUARANTINED",
      details: { lastExits: [1, 2, 3, 4].map(() => expect.objectContaining({ class: "crash", signal: "SIGKILL" })) },
    });
    expect((await steady.result()).text).toBe("one two three four five six seven eight");
    await supervisor.restartSession("crashing");
    expect((await query("crashing", "hello")).text).toBe("You said: hello");
  });

  it("quarantines a session whose key the API rejects after one try, with the API's words", async () => {
    await using supervisor = await Supervisor.start([{ name: "refused" }], {
      // As in production, where Claude Code retries by itself.
      defaults: { env: { ...api.env, CLAUDE_CODE_MAX_RETRIES: undefined }, cwd: api.cwd },
      logger: quiet,
    });
    api.reply(/./, { error: { status: 401, message: "invalid x-api-key", type: "authentication_error" } });
    await expect(query("refused", "hello")).rejects.toMatchObject({
      code: "TURN_FAILED",
      details: { class: "auth", status: 401 },
      message: expect.stringContaining("authentication_failed"),
    });
    expect(api.requests).toHaveLength(1);
    await vi.waitUntil(() => supervisor.session("refused").status().state === "quarantined");
    await expect(query("refused", "hello")).rejects.toMatchObject({
      code: "SESSION_QUARANTINED",
      message: expect.stringContaining("authentication_failed"),
    });
    expect(supervisor.session("refused").status()).toMatchObject({ starts: 1, lastExit: { class: "auth" } });
  });

  it("restarts a session by hand in the middle of a turn, and runs the turn again if it had shown nothing", async () => {
    await using supervisor = await Supervisor.start([{ name: "busy" }], { defaults: { env: api.env, cwd: api.cwd } });
    api.reply("slowly", { text: "too late", delayMs: 60_000 }, { times: 1 });
    const turn = stream("busy", "Answer slowly.");
    const queued = stream("busy", "And then?");
    await api.requested(1);
    const { pid } = supervisor.session("busy").status();

    await supervisor.restartSession("busy");

    expect((await turn.result()).text).toBe("You said: Answer slowly.");
    expect((await queued.result()).text).toBe("You said: And then?");
    expect(supervisor.session("busy").status().pid).not.toBe(pid);
  });
});

describe("Stall detection", () => {
  it("replaces a process that is frozen", async () => {
    await using supervisor = await Supervisor.start([{ name: "frozen", stallTimeout: 800 }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    await query("frozen", "Remember me.");
    const { pid } = supervisor.session("frozen").status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGSTOP");

    expect((await query("frozen", "What did I just say?")).text).toBe("You just said: Remember me.");
    expect(supervisor.session("frozen").status()).toMatchObject({ restarts: 1, lastExit: { class: "stalled" } });
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("spares a process whose tool takes long", async () => {
    await using supervisor = await Supervisor.start(
      [{ name: "tooling", stallTimeout: 2_000, allowedTools: ["Bash"] }],
      {
        defaults: { env: api.env, cwd: api.cwd },
      },
    );
    api.reply("run", {
      toolUses: [{ name: "Bash", input: { command: "timeout 4 tail -f /dev/null; echo over", description: "Wait" } }],
    });
    expect((await query("tooling", "Please run it.")).text).toContain("over");
    expect(supervisor.session("tooling").status().restarts).toBe(0);
  });
});

describe("Process tree of a session", () => {
  it("ends with its process, including commands in process sessions of their own", async () => {
    await using supervisor = await Supervisor.start([{ name: "commands", allowedTools: ["Bash"] }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    const mark = `CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`;
    api.reply("run", { toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }] });
    const turn = stream("commands", "Please run it.");
    await vi.waitUntil(() => processesWith(mark).some((pid) => commandOf(pid).startsWith("tail")), { timeout: 10_000 });
    const { pid } = supervisor.session("commands").status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await expect(turn.result()).rejects.toMatchObject({
      code: "TURN_INTERRUPTED",
      details: { toolUses: [{ name: "Bash" }] },
    });
    await vi.waitUntil(() => supervisor.session("commands").status().state === "idle", { timeout: 10_000 });
    expect(processesWith(mark)).toEqual([supervisor.session("commands").status().pid]);
  });

  it("ends with a host that is killed in the middle of a turn", async () => {
    const host = spawn(process.execPath, [here("../real/host.ts"), here("../real/mcp-server.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(createInterface(host.stdout), "line")) as [string];
    const { config } = JSON.parse(line) as { config: string };
    const mark = `CLAUDE_CONFIG_DIR=${config}`;
    const runs = (command: string) => processesWith(mark).some((pid) => commandOf(pid).includes(command));
    await vi.waitUntil(() => runs("tail") && runs("mcp-server.ts") && runs("claude"), { timeout: 10_000 });

    host.kill("SIGKILL");

    await vi.waitUntil(() => processesWith(mark).length === 0, { timeout: 2_000 });
  });
});
