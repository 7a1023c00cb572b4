import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { once, query, Supervisor, stream } from "../../src/index.ts";
import { type MockApi, type MockRequest, mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

/** Returns the conversation as the model got it. */
function said(request: MockRequest | undefined): string[] {
  return (request?.messages ?? []).filter(({ text }) => text !== "").map(({ role, text }) => `${role}: ${text}`);
}

describe('whenBusy "rollback"', () => {
  it("removes the running turn from the conversation, in the same process", async () => {
    await using supervisor = await Supervisor.start([{ name: "rolled-back" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    await query("rolled-back", "Keep this.");
    api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 20 });
    const wrong = stream("rolled-back", "Talk forever.");
    for await (const _ of wrong.text()) break;
    const right = query("rolled-back", "Say it right.", { whenBusy: "rollback" });
    await expect(wrong.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    expect((await right).text).toBe("You said: Say it right.");
    expect(said(api.lastRequest)).toEqual([
      "user: Keep this.",
      "assistant: You said: Keep this.",
      "user: Say it right.",
    ]);
    expect(supervisor.session("rolled-back").status()).toMatchObject({ restarts: 0, starts: 1 });
    const transcript = await supervisor.session("rolled-back").transcript();
    expect(transcript.map(({ type }) => type)).toEqual(["user", "assistant", "user", "assistant"]);
  });
});

describe("a conversation resumed by its id", () => {
  it("contains a prompt once after its first attempt was killed untouched", async () => {
    await using supervisor = await Supervisor.start([{ name: "former" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    const { sessionId: resume } = await query("former", "Remember the keep.");
    await supervisor.session("former").stop();
    const heir = await supervisor.startSession({ name: "heir", resume });
    api.reply("slowly", { text: "too late", delayMs: 60_000 }, { times: 1 });
    const turn = heir.stream("Answer slowly.");
    await api.requested(2);
    // The transcript has the prompt a moment after the request.
    await vi.waitUntil(async () => (await heir.transcript()).length === 3, { interval: 5, timeout: 30_000 });
    const { pid } = heir.status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    expect((await turn.result()).text).toBe("You said: Answer slowly.");
    expect(said(api.lastRequest)).toEqual([
      "user: Remember the keep.",
      "assistant: You said: Remember the keep.",
      "user: Answer slowly.",
    ]);
  });
});

describe("Session controls", () => {
  it("change the next process too, and return what the process supports", async () => {
    await using supervisor = await Supervisor.start([{ name: "controlled" }], {
      defaults: { env: api.env, cwd: api.cwd, model: "claude-haiku-4-5" },
    });
    const session = supervisor.session("controlled");
    await session.setModel("claude-opus-5-5");
    await session.setPermissionMode("acceptEdits");
    const command = process.execPath;
    const args = [fileURLToPath(new URL("../real/mcp-server.ts", import.meta.url))];
    await session.setMcpServers({ own: { command, args } });
    await query("controlled", "hello");
    expect(api.lastRequest?.model).toBe("claude-opus-5-5");
    const { pid } = session.status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await query("controlled", "hello again");
    expect(api.lastRequest?.model).toBe("claude-opus-5-5");
    expect((await session.mcpStatus()).map(({ name }) => name)).toEqual(["own"]);
    await session.toggleMcpServer("own", false);
    expect((await session.mcpStatus()).map(({ status }) => status)).toEqual(["disabled"]);

    await session.setMcpServers({});
    expect(await session.mcpStatus()).toEqual([]);

    expect((await session.supportedCommands()).length).toBeGreaterThan(0);
    expect((await session.supportedAgents()).map(({ name }) => name)).toContain("general-purpose");
    expect((await session.supportedModels()).length).toBeGreaterThan(0);
    expect((await session.accountInfo()).apiProvider).toBe("firstParty");
    expect((await session.contextUsage()).totalTokens).toBeGreaterThan(0);
    await expect(session.reconnectMcpServer("no-such-server")).rejects.toMatchObject({ code: "CONTROL_FAILED" });
    expect((await query("controlled", "still there?")).text).toContain("still there?");

    const all = await session.transcript();
    expect(all.map(({ type }) => type)).toEqual(["user", "assistant", "user", "assistant", "user", "assistant"]);
    expect(await session.transcript({ limit: 2, offset: 1 })).toEqual(all.slice(1, 3));
  });

  it("rewindFiles restores files to their state before a prompt, or reports the changes with dryRun", async () => {
    await using supervisor = await Supervisor.start(
      [{ name: "rewound", enableFileCheckpointing: true, permissionMode: "acceptEdits" }],
      { defaults: { env: api.env, cwd: api.cwd } },
    );
    const session = supervisor.session("rewound");
    const file_path = join(api.cwd, "keep.txt");
    await writeFile(file_path, "before");
    api.reply("read", { toolUses: [{ name: "Read", input: { file_path } }] }, { times: 1 });
    api.reply("write", { toolUses: [{ name: "Write", input: { file_path, content: "after" } }] }, { times: 1 });
    await session.query("Please read it.");
    const turn = session.stream("Please write it.");
    await turn.result();
    expect(await readFile(file_path, "utf8")).toBe("after");
    const uuid = turn.promptId ?? "";
    const prompts = (await session.transcript()).filter(({ message }) =>
      JSON.stringify(message).includes("Please write"),
    );
    expect(prompts.map((prompt) => prompt.uuid)).toEqual([uuid]);
    expect((await session.turns({ limit: 1 }))[0]?.promptId).toBe(uuid);
    expect(await session.rewindFiles(uuid, { dryRun: true })).toMatchObject({
      canRewind: true,
      filesChanged: [file_path],
    });
    expect(await readFile(file_path, "utf8")).toBe("after");
    expect(await session.rewindFiles(uuid)).toMatchObject({ canRewind: true });
    expect(await readFile(file_path, "utf8")).toBe("before");
  });

  it("stopTask ends a background task that kept the session busy", async () => {
    await using supervisor = await Supervisor.start([{ name: "background", allowedTools: ["Bash"] }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    const session = supervisor.session("background");
    const input = { command: "tail -f /dev/null", description: "Wait", run_in_background: true };
    api.reply("start", { toolUses: [{ name: "Bash", input }] }, { times: 1 });
    const events = session.events();
    await session.query("Please start it.");
    expect(session.status()).toMatchObject({ state: "busy", backgroundTasks: 1 });
    for await (const event of events) {
      if (event.type !== "task_started") continue;
      await session.stopTask(event.task.id);
      break;
    }
    await vi.waitUntil(() => session.status().state === "idle", { timeout: 10_000 });
    expect(session.status().backgroundTasks).toBe(0);
  });
});

describe("Session.approvals", () => {
  it("lists the requests of real tools, and decides them", async () => {
    await using supervisor = await Supervisor.start([{ name: "asking", approvals: true }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    const session = supervisor.session("asking");
    const target = join(api.cwd, "made.txt");
    const write = (content: string) => ({ toolUses: [{ name: "Write", input: { file_path: target, content } }] });
    api.reply("write", write("asked for"), { times: 1 });
    const turn = session.stream("Please write.");
    await vi.waitUntil(() => session.status().state === "waiting", { interval: 5, timeout: 30_000 });
    const [approval] = session.approvals();
    expect(approval).toMatchObject({ tool: "Write", input: { content: "asked for" } });
    approval?.approve({ input: { file_path: target, content: "approved" } });
    await turn.result();
    expect(await readFile(target, "utf8")).toBe("approved");

    api.reply(
      "again",
      { toolUses: [{ name: "Bash", input: { command: `rm ${target}`, description: "Remove" } }] },
      { times: 1 },
    );
    const denied = session.stream("And again.");
    await vi.waitUntil(() => session.approvals().length === 1, { interval: 5, timeout: 30_000 });
    session.approvals()[0]?.deny("it is needed");
    await denied.result();
    expect(JSON.stringify(api.lastRequest?.toolResults)).toContain("it is needed");
    expect(await readFile(target, "utf8")).toBe("approved");
  });
});

describe("outputSchema", () => {
  const outputSchema = z.object({ city: z.string(), day: z.string().transform((day) => new Date(day)) });
  const answer = (input: Readonly<Record<string, unknown>>) => (request: MockRequest) => ({
    toolUses: [{ name: request.tools.find((name) => /structured/i.test(name)) ?? "none", input }],
  });

  it("returns the parsed value of the schema", async () => {
    await using _ = await Supervisor.start([{ name: "data", outputSchema }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    api.reply("Where", answer({ city: "Bern", day: "2024-02-29" }));
    const { structured } = await query("data", "Where and when?", { outputSchema });
    expect(structured).toEqual({ city: "Bern", day: new Date("2024-02-29") });
  });

  it("works with once(), whose process ends with the answer", async () => {
    const { env, cwd } = api;
    api.reply("Where", answer({ city: "Bern", day: "2024-02-29" }));
    const { structured } = await once("Where and when?", { env, cwd, outputSchema });
    expect(structured?.city).toBe("Bern");
    expect((await once("hello", { env, cwd })).text).toBe("You said: hello");
    expect(processesWith(`CLAUDE_CONFIG_DIR=${env["CLAUDE_CONFIG_DIR"]}`)).toEqual([]);
  });
});
