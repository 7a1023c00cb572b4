import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { freePort } from "../free-port.ts";
import { create, emptyFolder } from "../starter/created.ts";
import { PackedReleases } from "./packed-release.ts";

/* What somebody does who begins with a template: creates it with the packed package, tests it, runs it without a key, kills it, goes on. */

const run = promisify(execFile);

/** Without a key, and without what this machine has set. */
const ENV = { ...process.env, ANTHROPIC_API_KEY: "", CASTELLAN_JOURNAL: "" };

let releases: PackedReleases;
let tarball: string;

beforeAll(async () => {
  releases = await PackedReleases.in();
  tarball = await releases.tarball();
}, 120_000);

afterAll(() => releases?.[Symbol.asyncDispose]());

/** Creates a project, installs its packages, and runs its own tests. */
async function created(template: string): Promise<string> {
  const cwd = await emptyFolder();
  const quiet = { npm_config_prefer_offline: "true", npm_config_audit: "false", npm_config_fund: "false" };
  const { code, stderr } = await create(cwd, ["app", "--template", template, "--castellan", `file:${tarball}`], quiet);
  expect(stderr).not.toContain("npm error");
  expect(code).toBe(0);
  const folder = join(cwd, "app");
  const { stdout } = await run("npm", ["test"], { cwd: folder, env: ENV });
  expect(stdout).toMatch(/^# fail 0$|^ℹ fail 0$/m);
  return folder;
}

/** A run of a project. */
interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly output: () => string;
}

/** Runs a project until it says where answers come from. */
async function start(folder: string): Promise<Running> {
  const port = String(await freePort());
  const child = spawn(process.execPath, ["src/main.ts"], { cwd: folder, env: { ...ENV, PORT: port } });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      text += data;
    });
  }
  onTestFinished(() => void child.kill("SIGKILL"));
  await vi.waitUntil(() => text.includes("come from") || child.exitCode !== null, { timeout: 30_000 });
  expect(text).toContain("a mock, which repeats what you say. Set ANTHROPIC_API_KEY");
  return { child, url: `http://127.0.0.1:${port}`, output: () => text };
}

async function kill({ child }: Running, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

const JUST_SAID = "What did I just say?";

test("the chat: answers in a stream, and remembers after a kill", { timeout: 180_000 }, async () => {
  const folder = await created("chat");
  let running = await start(folder);
  const cookie = (await fetch(running.url)).headers.get("set-cookie")?.split(";")[0] ?? "";
  const say = async (id: string, text: string): Promise<string> => {
    const headers = { cookie, "content-type": "application/json" };
    const body = JSON.stringify({ id, text });
    const accepted = await fetch(`${running.url}/messages`, { method: "POST", headers, body });
    const { turn } = (await accepted.json()) as { readonly turn: string };
    return await (await fetch(`${running.url}/turns/${turn}`, { headers })).text();
  };
  expect(await say("1", "Hello")).toContain("event: result");
  await kill(running, "SIGKILL");
  running = await start(folder);
  await say("2", JUST_SAID);
  const history = await (await fetch(`${running.url}/history`, { headers: { cookie } })).json();
  expect(history).toMatchObject([
    { text: "Hello", answer: "You said: Hello" },
    { text: JUST_SAID, answer: "You just said: Hello" },
  ]);
  await kill(running, "SIGTERM");
});

test("the bot: answers each message once, and remembers after a kill", { timeout: 180_000 }, async () => {
  const folder = await created("bot");
  let running = await start(folder);
  const say = async (id: string, text: string): Promise<unknown> => {
    const body = JSON.stringify({ id, chat: "ada", text });
    return await (await fetch(`${running.url}/messages`, { method: "POST", body })).json();
  };
  expect(await say("1", "Hello")).toEqual({ text: "You said: Hello" });
  await kill(running, "SIGKILL");
  running = await start(folder);
  // The messenger delivers the message again, because it may not have got the answer.
  expect(await say("1", "Hello")).toEqual({ text: "You said: Hello" });
  expect(await say("2", JUST_SAID)).toEqual({ text: "You just said: Hello" });
  await kill(running, "SIGTERM");
});

test("the worker: summarises each file once, also after a kill", { timeout: 180_000 }, async () => {
  const folder = await created("worker");
  const outbox = async (): Promise<string[]> => await readdir(join(folder, "outbox")).catch(() => []);
  const summaries = async (count: number): Promise<string[]> => {
    await vi.waitUntil(async () => (await outbox()).filter((name) => name.endsWith(".md")).length === count, {
      timeout: 60_000,
    });
    return (await outbox()).toSorted();
  };
  let running = await start(folder);
  await vi.waitUntil(async () => (await readdir(folder)).includes("inbox"));
  await writeFile(join(folder, "inbox/one.txt"), "The first letter");
  const [first = ""] = await summaries(1);
  expect(await readFile(join(folder, "outbox", first), "utf8")).toContain("The first letter");
  await kill(running, "SIGKILL");
  await writeFile(join(folder, "inbox/two.txt"), "The second letter");
  running = await start(folder);
  expect(await summaries(2)).toEqual([first, expect.stringMatching(/^two\.txt\.\w+\.md$/)]);
  expect(running.output()).toContain("two.txt: done");
  expect(running.output()).not.toContain("one.txt");
  await kill(running, "SIGTERM");
});
