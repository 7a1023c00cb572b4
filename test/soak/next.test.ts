import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { createParser } from "eventsource-parser";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";

/*
 * Runs the application of `examples/web/next` in Next.js, with the built package and the real Claude Code. The
 * application is in a folder below this repository, where Node finds Next.js and the dependencies.
 */

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");
const NEXT = join(root, "node_modules/next/dist/bin/next");
/** With `CI` Next.js installs nothing by itself. */
const QUIET = { NEXT_TELEMETRY_DISABLED: "1", CI: "1", NODE_ENV: "production" } as const;

let folder: string;
let application: string;
let api: MockApi;

beforeAll(async () => {
  await mkdir(join(root, "reports"), { recursive: true });
  folder = await mkdtemp(join(root, "reports/next-"));
  application = join(folder, "web/next");
  const installed = join(folder, "node_modules/castellan");
  await Promise.all([
    cp(join(root, "examples/web/next"), application, { recursive: true }),
    cp(join(root, "examples/web/assistants.ts"), join(folder, "web/assistants.ts")),
    writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" })),
    mkdir(installed, { recursive: true }).then(() =>
      copyFile(join(root, "package.json"), join(installed, "package.json")),
    ),
    run(process.execPath, [join(root, "node_modules/.bin/tsdown"), "--out-dir", join(installed, "dist")], {
      cwd: root,
    }),
  ]);
  const { stdout } = await run(process.execPath, [NEXT, "build"], {
    cwd: application,
    env: { ...process.env, ...QUIET },
  });
  expect(stdout).toContain("/api/ask");
}, 180_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  const left = (): number[] => processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`);
  await vi.waitUntil(() => left().length === 0, { timeout: 10_000 });
  await api.stop();
});

test("examples/web/next: streams from its route handler, and keeps conversations between requests", async () => {
  await using next = await served();
  const first = await next.ask("writer", "My cat is called Tom.");
  expect(first.headers.get("content-type")).toContain("text/event-stream");
  const events = await eventsOf(first);
  expect(events.map(({ event }) => event)).toEqual([...events.slice(1).map(() => "text"), "result"]);
  const texts = events.slice(0, -1).map(({ data }) => data.text);
  expect(texts.length).toBeGreaterThan(1);
  expect(texts.join("")).toBe("You said: My cat is called Tom.");
  const again = await eventsOf(await next.ask("writer", "What did I just say?"));
  expect(again.at(-1)?.data).toMatchObject({ text: "You just said: My cat is called Tom." });
  const other = await eventsOf(await next.ask("writer", "What did I just say?", "bob"));
  expect(other.at(-1)?.data.text).not.toContain("Tom");
  const refused = await next.ask("nobody", "hi");
  expect([refused.status, await refused.json()]).toEqual([
    404,
    { code: "SESSION_NOT_FOUND", message: "There is no such assistant." },
  ]);
});

test.each([
  { who: "Next.js", env: {}, end: [143, null] },
  { who: "the supervisor", env: { NEXT_MANUAL_SIG_HANDLE: "true" }, end: [null, "SIGTERM"] },
])("SIGTERM handled by $who: lets a turn finish, and ends all processes", async ({ env, end }) => {
  const rest = Promise.withResolvers<string>();
  api.reply("slow", () => rest.promise);
  await using next = await served(env);
  const asked = next.ask("writer", "slow");
  await api.requested(1);
  next.stop();
  await vi.waitUntil(async () => !(await takesTurns(next)), { timeout: 20_000 });
  rest.resolve("finished");
  expect((await eventsOf(await asked)).at(-1)).toMatchObject({ event: "result", data: { text: "finished" } });
  expect(await next.exited).toEqual(end);
});

async function takesTurns(next: Served): Promise<boolean> {
  try {
    return (await eventsOf(await next.ask("reviewer", "Are you there?"))).at(-1)?.event === "result";
  } catch {
    return false;
  }
}

interface Served extends AsyncDisposable {
  /** The exit code and signal. */
  readonly exited: Promise<unknown[]>;
  stop(): void;
  ask(assistant: string, prompt: string, user?: string): Promise<Response>;
}

/** Starts the application on a free port. */
async function served(env: NodeJS.ProcessEnv = {}): Promise<Served> {
  const child = spawn(process.execPath, [NEXT, "start", "--hostname", "127.0.0.1", "--port", "0"], {
    cwd: application,
    env: { ...api.env, ...QUIET, CASTELLAN_JOURNAL: "memory", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  onTestFinished(() => void child.kill("SIGKILL"));
  const output: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (piece: string) => output.push(piece));
  const url = await new Promise<string>((resolve, reject) => {
    let address = "";
    createInterface(child.stdout).on("line", (line) => {
      output.push(`${line}\n`);
      address = /Local: +(http:\S+)/.exec(line)?.[1] ?? address;
      if (line.includes("Ready in")) resolve(address);
    });
    void exited.then(() => reject(new Error(`Next.js ended: ${output.join("")}`)));
  });
  const stop = (): void => void child.kill("SIGTERM");
  return {
    exited,
    stop,
    ask: (assistant, prompt, user = "ada") =>
      fetch(`${url}/api/ask`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-user": user },
        body: JSON.stringify({ assistant, prompt }),
      }),
    [Symbol.asyncDispose]: async () => {
      stop();
      await exited;
    },
  };
}

interface ServerEvent {
  readonly event: string | undefined;
  readonly data: { readonly text: string };
}

async function eventsOf(response: Response): Promise<ServerEvent[]> {
  const events: ServerEvent[] = [];
  const parser = createParser({ onEvent: ({ event, data }) => events.push({ event, data: JSON.parse(data) }) });
  parser.feed(await response.text());
  return events;
}
