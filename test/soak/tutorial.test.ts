import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { ROOT } from "../../scripts/guide.ts";
import { freePort } from "../free-port.ts";

/* The programs of the tutorial, as its readers start them: on the real Claude Code, and on the tutorial's mock of the model's API. */

const ARGS = ["--import", join(ROOT, "test/examples/on-sources.ts")];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-tutorial-"));
});

afterEach(async () => {
  // The processes of a killed server may write for another second.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

function program(path: string): string {
  return join(ROOT, "examples/tutorial", path);
}

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  // A killed server leaves the directories of its mock behind.
  return { ...process.env, CASTELLAN_JOURNAL: undefined, TMPDIR: folder, ...more };
}

async function output(path: string, ...args: string[]): Promise<string> {
  const options = { cwd: folder, env: environment() };
  const { stdout } = await promisify(execFile)(process.execPath, [...ARGS, program(path), ...args], options);
  return stdout.trim();
}

/** Starts a server, and resolves once it listens. */
async function serve(path: string, port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...ARGS, program(path)], {
    cwd: folder,
    env: environment({ PORT: String(port) }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  expect(line).toBe(`http://127.0.0.1:${port}/ada`);
  return child;
}

/** Returns the address of a new turn. */
async function turnOf(url: string, prompt: string): Promise<string> {
  const accepted = await fetch(`${url}/turns`, { method: "POST", body: prompt });
  const { id } = (await accepted.json()) as { readonly id: string };
  return `${url}/turns/${id}`;
}

async function ask(url: string, prompt: string): Promise<string> {
  return await (await fetch(await turnOf(url, prompt))).text();
}

test("01-first-answer: prints the answer, and ends", async () => {
  expect(await output("01-first-answer/first.ts")).toMatch(/^Paris\. \(\d+ ms\)$/);
});

test("02-conversations: continues the conversation of a user in the next process", async () => {
  expect(await output("02-conversations/ask.ts", "ada", "My name is Ada.")).toBe("You said: My name is Ada.");
  expect(await output("02-conversations/ask.ts", "bob", "What did I just say?")).toBe(
    "You have not said anything yet.",
  );
  expect(await output("02-conversations/ask.ts", "ada", "What did I just say?")).toBe("You just said: My name is Ada.");
});

test("03-page: continues after kill -9", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/ada`;
  const first = await serve("03-page/server.ts", port);
  expect(await (await fetch(url)).text()).toContain("EventSource");
  expect(await ask(url, "My name is Ada.")).toContain("event: result");
  first.kill("SIGKILL");
  await once(first, "exit");
  await serve("03-page/server.ts", port);
  expect(await ask(url, "What did I just say?")).toContain("My name is Ada.");
});

test("03-page: tells a story slowly, and says after kill -9 that it was cut", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/ada`;
  const first = await serve("03-page/server.ts", port);
  const { body } = await fetch(await turnOf(url, "Tell me a story."));
  const exited = once(first, "exit");
  let events = "";
  const reading = async (): Promise<void> => {
    for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      events += piece;
      if (events.includes("event: text")) first.kill("SIGKILL");
    }
  };
  await expect(reading()).rejects.toThrow();
  await exited;
  expect(events).not.toContain("Line 60");
  await serve("03-page/server.ts", port);
  await vi.waitFor(async () => {
    const { said } = (await (await fetch(`${url}/said`)).json()) as { readonly said: readonly { text: string }[] };
    expect(said.at(-1)?.text).toContain("[The answer is incomplete.]");
  });
});

test("04-approvals: runs the command once it is approved", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/ada`;
  await serve("04-approvals/server.ts", port);
  const { body } = await fetch(await turnOf(url, "Please take a note."));
  let events = "";
  for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const before = events;
    events += piece;
    const [, approval] = /event: approval_requested\ndata: .*?"id":"([^"]+)"/.exec(events) ?? [];
    if (approval === undefined || before.includes(approval)) continue;
    const yes = { method: "POST", body: JSON.stringify({ approve: true }) };
    expect((await fetch(`${url}/approvals/${approval}`, yes)).status).toBe(204);
  }
  expect(events).toContain("The tool said: note");
});

test("06-watching: the next release takes over on the same port, and SIGTERM ends it", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/ada`;
  const first = await serve("06-watching/server.ts", port);
  expect(await ask(url, "My name is Ada.")).toContain("event: result");
  const ended = once(first, "exit");
  const second = await serve("06-watching/server.ts", port);
  expect(await ended).toEqual([0, null]);
  expect(await ask(url, "What did I just say?")).toContain("My name is Ada.");
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  await vi.waitFor(async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toMatch(/^castellan_turns.* 1/m);
  });
  const stopped = once(second, "exit");
  second.kill("SIGTERM");
  expect(await stopped).toEqual([null, "SIGTERM"]);
});

test("05-deploy/chat.service: waits longer for the end than the program does", async () => {
  const unit = await readFile(program("05-deploy/chat.service"), "utf8");
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
  const [, deadline] =
    /stopOnSignals\(\{ deadline: "(\d+)s" \}\)/.exec(await readFile(program("05-deploy/server.ts"), "utf8")) ?? [];
  expect(Number(seconds)).toBeGreaterThan(Number(deadline));
  expect(unit).toMatch(/^ExecStart=\S+\/node server\.ts$/m);
});
