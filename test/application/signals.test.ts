import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Scene, thrown } from "../session-on-fake/scene.ts";

/** Runs `signalled-host.ts`, and collects its output. */
class Host implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly ended: Promise<string>;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #reader: ReturnType<typeof createInterface>;

  constructor(...flags: string[]) {
    const script = fileURLToPath(new URL("signalled-host.ts", import.meta.url));
    const env = { ...process.env, ANTHROPIC_API_KEY: "sk-ant-fake" };
    this.#process = spawn(process.execPath, [script, ...flags], { stdio: ["pipe", "pipe", "inherit"], env });
    this.#reader = createInterface(this.#process.stdout).on("line", (line) => this.lines.push(line));
    const closed = once(this.#reader, "close");
    this.ended = once(this.#process, "exit").then(async ([code, signal]) => {
      await closed;
      return signal ?? code;
    });
  }

  async said(line: string): Promise<void> {
    while (!this.lines.includes(line)) await once(this.#reader, "line");
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Lets the running turn complete. */
  tell(): void {
    this.#process.stdin.write("go on\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.ended;
  }
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "stopOnSignals(): the first %s lets the turn complete, and the process ends by it",
  async (signal) => {
    await using host = new Host();
    await host.said("running");
    host.kill(signal);
    await host.said(`got ${signal}`);
    expect(host.lines).toEqual(["running", `got ${signal}`]);
    host.tell();
    expect(await host.ended).toBe(signal);
    expect(host.lines.slice(2).sort()).toEqual(["finished", "process ended by null", "stopped"]);
  },
);

test("stopOnSignals(): a second signal kills everything at once", async () => {
  await using host = new Host("--stubborn");
  await host.said("running");
  host.kill("SIGTERM");
  await host.said("got SIGTERM");
  expect(host.lines).toEqual(["running", "got SIGTERM"]);
  host.kill("SIGINT");
  expect(await host.ended).toMatch(/SIGTERM|SIGINT/);
  expect(host.lines).toContain("TURN_INTERRUPTED");
  expect(host.lines).toContain("process ended by SIGKILL");
});

test("stopOnSignals(): has no effect once it is undone", async () => {
  await using host = new Host("--unwired");
  await host.said("running");
  host.kill("SIGTERM");
  expect(await host.ended).toBe("SIGTERM");
  expect(host.lines).toEqual(["running"]);
});

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
const listeners = () => SIGNALS.map((signal) => process.listenerCount(signal));

test("stopOnSignals(): listens to the given signals until it is undone", async () => {
  await using scene = await Scene.open();
  const before = listeners();
  const unwire = scene.supervisor.stopOnSignals();
  expect(listeners()).toEqual(before.map((count, at) => count + (at < 2 ? 1 : 0)));
  const unwireOther = scene.supervisor.stopOnSignals({ signals: ["SIGHUP"] });
  expect(listeners()).toEqual(before.map((count) => count + 1));
  unwire();
  unwire();
  unwireOther();
  expect(listeners()).toEqual(before);
});

test.each(["stop", "drain"] as const)("stopOnSignals(): leaves no listener after %s()", async (how) => {
  const before = listeners();
  await using scene = await Scene.open();
  scene.supervisor.stopOnSignals();
  await scene.supervisor[how]();
  expect(listeners()).toEqual(before);
});

test("stopOnSignals(): rejects wrong options at the call", async () => {
  await using scene = await Scene.open();
  const before = listeners();
  const error = await thrown(() => scene.supervisor.stopOnSignals({ deadline: "soon" }), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("deadline");
  const misspelt: object = { deadlin: "1s", signals: ["SIGNONE"] };
  const { details } = await thrown(() => scene.supervisor.stopOnSignals(misspelt), "INVALID_OPTIONS");
  expect(details.problems.map(({ field }) => field).sort()).toEqual(["deadlin", "signals.0"]);
  expect(listeners()).toEqual(before);
});

test("stopOnSignals(): a supervisor that stops first does not end the turns of another", async () => {
  await using host = new Host("--two");
  await host.said("running");
  host.kill("SIGTERM");
  await host.said("idle one stopped");
  expect(host.lines).not.toContain("SUPERVISOR_STOPPED");
  host.tell();
  expect(await host.ended).toBe("SIGTERM");
  expect(host.lines.filter((line) => line === "got SIGTERM")).toHaveLength(1);
  expect(host.lines).toContain("finished");
});
