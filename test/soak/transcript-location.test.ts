import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type Options, query, type SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bringTranscript } from "../../src/claude/bring-transcript.ts";
import { formatMarker, MARKER, thisOwner } from "../../src/claude/marker.ts";
import { evidenceIn } from "../../src/claude/messages/transcript-evidence.ts";
import { endMarked } from "../../src/claude/process-tree.ts";
import {
  type TranscriptLocation,
  transcriptAt,
  transcriptFolderOf,
  transcriptLocationOf,
} from "../../src/claude/transcript-location.ts";
import { systemClock } from "../../src/clock.ts";
import { rememberedMessages } from "../../src/session/conversation/transcript.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

/** Runs one prompt in a process of its own, from start to end. */
async function ask(prompt: string | AsyncIterable<SDKUserMessage>, options: Options) {
  let answer = { text: "", id: "", lastUuid: "" };
  for await (const message of query({ prompt, options: { settingSources: [], env: api.env, ...options } })) {
    if (message.type === "assistant") answer = { ...answer, lastUuid: message.uuid };
    if (message.type !== "result") continue;
    answer = { ...answer, id: message.session_id, text: message.subtype === "success" ? message.result : "" };
  }
  return answer;
}

/** The user's prompts in the last request. */
function prompts(): string[] {
  const messages = api.lastRequest?.messages ?? [];
  return messages.filter(({ role, text }) => role === "user" && text !== "").map(({ text }) => text);
}

async function directory(name: string): Promise<string> {
  const path = join(api.cwd, name);
  await mkdir(path, { recursive: true });
  return path;
}

function transcript(id: string, cwd: string, environment = api.env) {
  return rememberedMessages({ kind: "kept", id, empty: false, cut: false }, { sdk: { cwd }, environment }, {});
}

/** Where a process at `place` writes a conversation that it begins. */
async function ownFile(id: string, place: TranscriptLocation): Promise<string> {
  return join(await transcriptFolderOf(place), `${id}.jsonl`);
}

const MISSING = /No conversation found with session ID/;

describe("Transcript place of the real Claude Code", () => {
  it("finds a conversation from wherever it is resumed, and appends to the same transcript", async () => {
    const [here, there] = [await directory("here"), await directory("there")];
    const link = join(api.cwd, "link");
    await symlink(here, link);
    const { id } = await ask("one", { cwd: link });
    const file = await ownFile(id, await transcriptLocationOf(here, api.env));
    await ask("two", { cwd: relative(process.cwd(), here), resume: id });
    await rm(here, { recursive: true });
    await ask("three", { cwd: there, resume: id });
    expect(prompts()).toEqual(["one", "two", "three"]);
    for (const cwd of [here, link, there]) {
      expect(await transcriptAt(id, await transcriptLocationOf(cwd, api.env))).toBe(file);
      expect(await transcript(id, cwd)).toHaveLength(6);
    }
  });

  it("finds none if two directories elsewhere have it, until the right one is copied", async () => {
    const [one, two, three] = [await directory("one"), await directory("two"), await directory("three")];
    const { id } = await ask("right", { cwd: one });
    const [from, to] = [await transcriptLocationOf(one, api.env), await transcriptLocationOf(three, api.env)];
    const twin = await ownFile(id, await transcriptLocationOf(two, api.env));
    await mkdir(dirname(twin));
    await copyFile(await ownFile(id, from), twin);
    await expect(ask("hello", { cwd: three, resume: id })).rejects.toThrow(MISSING);
    expect(await transcript(id, three)).toEqual([]);
    expect(await bringTranscript(id, from, to)).toBe("copied");
    await ask("hello", { cwd: three, resume: id });
    expect(prompts()).toEqual(["right", "hello"]);
  });

  it("finds a conversation from another config directory once it is copied there, and copies it back", async () => {
    const [cwd, other] = [await directory("work"), await directory("other")];
    const env = { ...api.env, CLAUDE_CONFIG_DIR: await directory("config") };
    const { id, lastUuid } = await ask("one", { cwd });
    await expect(ask("two", { cwd: other, env, resume: id })).rejects.toThrow(MISSING);

    const [from, to] = [await transcriptLocationOf(cwd, api.env), await transcriptLocationOf(other, env)];
    expect(await bringTranscript(id, from, to)).toBe("copied");
    await ask("two", { cwd: other, env, resume: id });
    expect(prompts()).toEqual(["one", "two"]);

    expect(await bringTranscript(id, to, from)).toBe("copied");
    expect(await transcript(id, cwd)).toHaveLength(4);
    await ask("three", { cwd, resume: id, resumeSessionAt: lastUuid });
    expect(prompts()).toEqual(["one", "three"]);
  });

  it("follows a transcript into the folder of a worktree", async () => {
    const cwd = await directory("repository");
    const git = (...parameters: string[]): unknown =>
      execFileSync("git", ["-c", "user.name=n", "-c", "user.email=n@localhost", ...parameters], { cwd, stdio: "pipe" });
    git("init", "--quiet");
    await writeFile(join(cwd, "file"), "text");
    git("add", ".");
    git("commit", "--quiet", "--message", "first");
    api.reply("enter", { toolUses: [{ name: "EnterWorktree", input: { name: "tree" } }] });
    const { id } = await ask("enter", { cwd, allowedTools: ["EnterWorktree"] });
    expect(await transcriptAt(id, await transcriptLocationOf(cwd, api.env))).toContain("worktrees-tree");
    expect(await transcript(id, cwd)).toHaveLength(4);
  });
});

describe("Transcript of a turn that a kill cuts", () => {
  it("holds what was said and called, and can be continued", async () => {
    const cwd = await directory("cut");
    api.reply("run", {
      text: "Let me run it.",
      toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }],
    });
    const [id, uuid] = [randomUUID(), randomUUID()];
    const marker = formatMarker(thisOwner(), id);
    const { promise: killed, resolve: kill } = Promise.withResolvers<void>();
    async function* prompt(): AsyncGenerator<SDKUserMessage> {
      const message = { role: "user" as const, content: "Please run it." };
      yield { type: "user", message, parent_tool_use_id: null, uuid };
      await killed;
    }
    const cut = ask(prompt(), {
      cwd,
      env: { ...api.env, [MARKER]: marker },
      sessionId: id,
      allowedTools: ["Bash"],
      spawnClaudeCodeProcess: ({ command, args, cwd, env, signal }) => {
        const child = spawn(command, args, { cwd, env, signal, stdio: ["pipe", "pipe", "pipe"] });
        void killed.then(() => child.kill("SIGKILL"));
        return child;
      },
    });
    const evidence = async () => evidenceIn(await transcript(id, cwd), uuid);
    await vi.waitUntil(async () => (await evidence()).toolUses.length > 0, { interval: 10, timeout: 10_000 });
    kill();
    await expect(cut).rejects.toThrow("SIGKILL");
    await endMarked(marker, systemClock);
    const { lastUuid, ...known } = await evidence();
    expect(known).toEqual({
      found: true,
      touched: true,
      shown: [{ type: "text", text: "Let me run it." }, expect.objectContaining({ type: "tool_use", name: "Bash" })],
      partialText: "Let me run it.",
      toolUses: [{ id: expect.any(String), name: "Bash" }],
    });
    if (lastUuid === undefined) throw new Error("no last message");
    await ask("What did I just say?", { cwd, resume: id, resumeSessionAt: lastUuid });
    expect(prompts()).toEqual(["Please run it.", "What did I just say?"]);
  });
});
