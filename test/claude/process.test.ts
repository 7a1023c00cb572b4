import { execFile, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import type { SpawnedProcess } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, describe, expect, it } from "vitest";
import { ClaudeProcess, type EndingStages, type ProcessWatch } from "../../src/claude/process.ts";
import { systemClock } from "../../src/clock.ts";

/** A limit that no stage of a passing test reaches, in ms. */
const LONG = 15_000;

/** Keeps a child running until it is ended. */
const STAY = "setInterval(() => {}, 1000);";
const SAY = "const say = (what) => process.stdout.write(JSON.stringify(what) + '\\n');";
const DEAF = "process.on('SIGTERM', () => say({ term: true })); process.stdin.resume();";

interface Started {
  readonly process: ClaudeProcess;
  readonly breaks: string[];
  readonly stderr: string[];
  /** Returns the next line of the process, parsed. */
  next(): Promise<Record<string, unknown>>;
}

const running: ClaudeProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.end({ inputMs: 0, termMs: 0 })));
});

function watched(make: (watch: ProcessWatch) => ClaudeProcess): Started {
  const breaks: string[] = [];
  const stderr: string[] = [];
  const process = make({ onBreak: (reason) => breaks.push(reason), onStderr: (text) => stderr.push(text) });
  running.push(process);
  const lines = createInterface({ input: process.spawned.stdout })[Symbol.asyncIterator]();
  return { process, breaks, stderr, next: async () => JSON.parse((await lines.next()).value ?? "null") };
}

function start(script: string, prefix: readonly string[] = [], env: Record<string, string> = {}): Started {
  const { signal } = new AbortController();
  const options = { command: process.execPath, args: ["-e", `${SAY}${script}`], env, signal };
  return watched((watch) => ClaudeProcess.spawn(options, prefix, systemClock, watch));
}

/** Whether a process with this id runs; a zombie does not. */
function lives(pid: unknown): boolean {
  try {
    process.kill(Number(pid), 0);
    return process.platform !== "linux" || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

describe("ClaudeProcess.end", () => {
  it("closes the input first", async () => {
    const { process, next } = start("process.stdin.resume().on('end', () => process.exit(7)); say({ ready: true });");
    await next();
    expect(await process.end({ inputMs: LONG, termMs: LONG })).toEqual({ code: 7 });
    expect(lives(process.pid)).toBe(false);
  });

  it("sends SIGTERM next", async () => {
    const { process, next } = start(`process.on('SIGTERM', () => process.exit(8)); say({ ready: true });${STAY}`);
    await next();
    expect(await process.end({ inputMs: 20, termMs: LONG })).toEqual({ code: 8 });
  });

  it("sends SIGKILL last", async () => {
    const { process, next } = start(`${DEAF}say({ ready: true });${STAY}`);
    await next();
    expect(await process.end({ inputMs: 20, termMs: 20 })).toEqual({ signal: "SIGKILL" });
    expect(await next()).toEqual({ term: true });
    expect(lives(process.pid)).toBe(false);
  });

  it("skips stages of length 0", async () => {
    const both =
      "process.stdin.resume().on('end', () => process.exit(7)); process.on('SIGTERM', () => process.exit(8));";
    const byTerm = start(`${both}say({ ready: true });`);
    await byTerm.next();
    expect(await byTerm.process.end({ inputMs: 0, termMs: LONG })).toEqual({ code: 8 });
    const byKill = start(`${both}say({ ready: true });`);
    await byKill.next();
    expect(await byKill.process.end({ inputMs: 0, termMs: 0 })).toEqual({ signal: "SIGKILL" });
  });

  it("waits without limit on `infinity`, until another call kills at once", async () => {
    const { process, next } = start(`${DEAF}say({ ready: true });${STAY}`);
    await next();
    const first = process.end({ inputMs: 0, termMs: Number.POSITIVE_INFINITY });
    expect(await next()).toEqual({ term: true });
    const second = process.end({ inputMs: 0, termMs: 0 });
    expect(await Promise.all([first, second])).toEqual([{ signal: "SIGKILL" }, { signal: "SIGKILL" }]);
  });

  it("is not prolonged by a later call", async () => {
    const { process, next } = start(`${DEAF}say({ ready: true });${STAY}`);
    await next();
    const first = process.end({ inputMs: 0, termMs: 20 });
    void process.end({ inputMs: LONG, termMs: Number.POSITIVE_INFINITY });
    expect(await first).toEqual({ signal: "SIGKILL" });
  });

  it("returns the exit of a process that has ended by itself", async () => {
    const { process } = start("process.exit(3);");
    expect(await process.exited).toEqual({ code: 3 });
    expect(await process.end({ inputMs: LONG, termMs: LONG })).toEqual({ code: 3 });
  });
});

describe.skipIf(process.platform === "win32")("ClaudeProcess: process group", () => {
  /** Starts a process in the same group that ignores SIGTERM, and prints its id. */
  const PARENT = `const child = require('node:child_process').spawn(process.execPath,
    ['-e', "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"],
    { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.once('data', () => say({ pid: child.pid }));`;

  it("ends with its leader in every stage before `end()` resolves", async () => {
    const ends: [string, EndingStages][] = [
      [`${PARENT}${STAY}`, { inputMs: 0, termMs: 0 }],
      [`${PARENT}process.on('SIGTERM', () => process.exit(0));${STAY}`, { inputMs: 0, termMs: LONG }],
      [`${PARENT}process.stdin.resume().on('end', () => process.exit(0));`, { inputMs: LONG, termMs: LONG }],
    ];
    const checks = ends.map(async ([script, stages]) => {
      const { process, next } = start(script);
      const { pid } = await next();
      expect(lives(pid)).toBe(true);
      await process.end(stages);
      expect(lives(pid)).toBe(false);
    });
    await Promise.all(checks);
  });

  it("ends when its leader crashes", async () => {
    const { process, next } = start(`${PARENT}child.stdout.once('data', () => setImmediate(() => process.exit(1)));`);
    const { pid } = await next();
    expect(await process.gone).toEqual({ code: 1 });
    expect(lives(pid)).toBe(false);
  });
});

describe("ClaudeProcess.spawn", () => {
  it("reports a failed start, after which `end()` resolves", async () => {
    const { signal } = new AbortController();
    const options = { command: "/nowhere/claude", args: [], env: {}, signal };
    const { process } = watched((watch) => ClaudeProcess.spawn(options, [], systemClock, watch));
    expect(process.pid).toBeUndefined();
    expect((await process.exited).error).toMatchObject({ code: "ENOENT" });
    expect((await process.end({ inputMs: LONG, termMs: LONG })).error).toMatchObject({ code: "ENOENT" });
  });

  it.skipIf(process.platform === "win32")(
    "reports EMFILE when no descriptors are left, and the host survives",
    async () => {
      const source = new URL("../../src/", import.meta.url);
      const script = `
      import { openSync } from "node:fs";
      import { ClaudeProcess } from "${new URL("claude/process.ts", source)}";
      import { systemClock } from "${new URL("clock.ts", source)}";
      try { for (;;) openSync("/dev/null", "r"); } catch {}
      const options = { command: "/bin/true", args: [], env: {}, signal: new AbortController().signal };
      const { exited } = ClaudeProcess.spawn(options, [], systemClock, { onStderr() {}, onBreak() {} });
      const { error } = await exited;
      console.log(error.code);`;
      const limited = 'ulimit -n 60; exec "$0" --input-type=module -e "$1"';
      const { stdout } = await promisify(execFile)("sh", ["-c", limited, process.execPath, script]);
      expect(stdout).toBe("EMFILE\n");
    },
  );

  it("runs the command behind the prefix, with the given environment only", async () => {
    const { next } = start("say(process.env);", ["env", "PREFIXED=yes"], { PATH: process.env["PATH"] ?? "", OWN: "1" });
    expect(await next()).toMatchObject({ PREFIXED: "yes", OWN: "1" });
    const bare = start("say(process.env);", [], { OWN: "1" });
    expect(await bare.next()).toEqual({ OWN: "1" });
  });

  it("keeps the end of the error output, and passes all of it on", async () => {
    const { process, stderr } = start("process.stderr.write('x'.repeat(5000) + 'last words');");
    await process.exited;
    await process.end({ inputMs: 0, termMs: 0 });
    await expect.poll(() => stderr.join("")).toBe(`${"x".repeat(5000)}last words`);
    expect(process.stderr.text).toHaveLength(2048);
    expect(process.stderr.text?.endsWith("xlast words")).toBe(true);
  });

  it("reports output that is not JSON", async () => {
    const { process, breaks } = start("process.stdout.write('Segmentation fault\\n');");
    await once(process.spawned.stdout, "end");
    expect(breaks).toEqual([expect.stringContaining("Segmentation fault")]);
  });

  it("survives a write to a process that has exited", async () => {
    const { process } = start("process.exit(0);");
    await process.exited;
    const written = new Promise((resolve) => process.spawned.stdin.write("{}\n".repeat(100_000), resolve));
    expect(await written).toBeInstanceOf(Error);
  });
});

describe("ClaudeProcess.adopt", () => {
  /** A process without a pid, as on another machine. */
  class Remote extends EventEmitter {
    readonly stdin: PassThrough = new PassThrough();
    readonly stdout: PassThrough = new PassThrough();
    readonly killed: boolean = false;
    readonly exitCode: number | null = null;
    readonly signals: string[] = [];

    kill(signal: NodeJS.Signals): boolean {
      this.signals.push(signal);
      if (signal === "SIGKILL") queueMicrotask(() => this.emit("exit", null, signal));
      return true;
    }
  }

  function adopt(spawned: SpawnedProcess): Started {
    return watched((watch) => ClaudeProcess.adopt(spawned, undefined, systemClock, watch));
  }

  it("knows pid, error output and exit of a child process", async () => {
    const child = spawn(process.execPath, ["-e", `console.error('warned'); ${STAY}`], { stdio: "pipe" });
    const { process: adopted, stderr } = adopt(child);
    expect(adopted.pid).toBe(child.pid);
    await expect.poll(() => stderr.join("")).toBe("warned\n");
    expect(await adopted.end({ inputMs: 0, termMs: LONG })).toEqual({ signal: "SIGTERM" });
    expect(lives(child.pid)).toBe(false);
  });

  it("ends a process without a pid through its `kill`, stage by stage", async () => {
    const remote = new Remote();
    const { process: adopted } = adopt(remote);
    expect(adopted.pid).toBeUndefined();
    expect(await adopted.end({ inputMs: 5, termMs: 5 })).toEqual({ signal: "SIGKILL" });
    expect(remote.stdin.writableEnded).toBe(true);
    expect(remote.signals).toEqual(["SIGTERM", "SIGKILL"]);
  });

  it("watches its output", async () => {
    const remote = new Remote();
    const { breaks, next } = adopt(remote);
    remote.stdout.write('{"type":"result"}\n');
    expect(await next()).toEqual({ type: "result" });
    remote.stdout.end("connection lost\n");
    await expect.poll(() => breaks).toEqual([expect.stringContaining("connection lost")]);
  });

  it("does not read the output before its reader does", async () => {
    const remote = new Remote();
    const breaks: string[] = [];
    const watch = { onStderr: () => {}, onBreak: (reason: string) => breaks.push(reason) };
    const { spawned } = ClaudeProcess.adopt(remote, undefined, systemClock, watch);
    remote.stdout.end('{"type":"result"}\noops\n');
    await new Promise(setImmediate);
    expect(breaks).toEqual([]);
    expect(await Array.fromAsync(createInterface({ input: spawned.stdout }))).toEqual(['{"type":"result"}', "oops"]);
    expect(breaks).toEqual([expect.stringContaining("oops")]);
  });

  it("treats an error as the exit only if the process never ran", async () => {
    const failed = new Remote();
    const { process: gone } = adopt(failed);
    const error = new Error("no such host");
    failed.emit("error", error);
    expect(await gone.exited).toEqual({ error });

    const child = spawn(process.execPath, ["-e", "process.stdin.resume().on('end', () => process.exit(5))"]);
    const { process: alive } = adopt(child);
    child.emit("error", new Error("kill EPERM"));
    expect(await alive.end({ inputMs: LONG, termMs: LONG })).toEqual({ code: 5 });
  });
});
