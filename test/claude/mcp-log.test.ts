import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { McpLog, mcpLogFolder } from "../../src/claude/mcp-log.ts";

const SINCE = Date.parse("2026-11-29T11:54:00.500Z");
const OWN = "2026-11-29T11-54-00-777Z.jsonl";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-mcp-log-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function line(entry: object, sessionId = "mine"): string {
  return `${JSON.stringify({ ...entry, timestamp: "2026-11-29T11:54:01.000Z", sessionId, cwd: "/srv/app" })}\n`;
}

const connected = line({ debug: "Successfully connected (transport: stdio) in 12ms" });
const ended = line({ debug: "STDIO connection closed after 4s (cleanly)" });

async function written(server: string, file: string, text: string): Promise<string> {
  const own = join(folder, `mcp-logs-${server}`);
  await mkdir(own, { recursive: true });
  await writeFile(join(own, file), text);
  return join(own, file);
}

function log(secrets: readonly string[] = []): McpLog {
  return new McpLog(folder, "mine", SINCE, secrets);
}

it("McpLog: reports that a connected server has ended, until it is connected again", async () => {
  const path = await written("db", OWN, connected);
  const own = log();
  expect((await own.read("db"))?.ended).toBeUndefined();
  await appendFile(path, ended);
  expect((await own.read("db"))?.ended).toBe("STDIO connection closed after 4s (cleanly)");
  await appendFile(path, connected);
  expect((await own.read("db"))?.ended).toBeUndefined();
});

it("McpLog: returns the end of a server's error output without secrets", async () => {
  await written("my-server-x", OWN, line({ error: `Server stderr: ${"long ".repeat(500)}key sk-ant-very-secret\n` }));
  const { words = "" } = (await log(["sk-ant-very-secret"]).read("my server.x")) ?? {};
  expect(words).toMatch(/^.{0,500}$/);
  expect(words).toMatch(/key \[hidden\]$/);
});

it("McpLog: reads the log of its own process, and not of another in the same directory", async () => {
  await written("db", "2026-11-29T11-54-00-900Z.jsonl", line({ debug: "STDIO connection closed after 1s" }, "other"));
  expect(await log().read("db")).toBeUndefined();
  await written("db", "2026-11-28T11-54-00-000Z.jsonl", ended);
  expect(await log().read("db")).toBeUndefined();
  await written("db", OWN, ended);
  expect((await log().read("db"))?.ended).toBeDefined();
});

it("McpLog: skips malformed and unfinished lines", async () => {
  const path = await written("db", OWN, `no JSON\n[]\nnull\n${line({ debug: 7 })}${connected}${ended.slice(0, 30)}`);
  const own = log();
  expect(await own.read("db")).toEqual({ ended: undefined, words: undefined });
  await appendFile(path, ended.slice(30));
  expect((await own.read("db"))?.ended).toBeDefined();
});

it("McpLog: returns undefined without a log", async () => {
  expect(await log().read("db")).toBeUndefined();
  expect(await new McpLog(join(folder, "missing"), "mine", SINCE, []).read("x".repeat(300))).toBeUndefined();
});

it.runIf(process.platform === "linux")("mcpLogFolder(): follows Claude Code's cache directory", () => {
  expect(mcpLogFolder("/tmp/a b", { HOME: "/home/u" })).toBe("/home/u/.cache/claude-cli-nodejs/-tmp-a-b");
  expect(mcpLogFolder("/w", { HOME: "/home/u", XDG_CACHE_HOME: "/x" })).toBe("/x/claude-cli-nodejs/-w");
});
