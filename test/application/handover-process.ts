import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

type Line = Readonly<Record<string, unknown>>;

const HOST = fileURLToPath(new URL("handover-host.ts", import.meta.url));

/** Runs `handover-host.ts`, or another script of its kind, and reads what it prints. */
export class HandoverProcess implements AsyncDisposable {
  readonly lines: Line[] = [];
  readonly ended: Promise<unknown>;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #reader: ReturnType<typeof createInterface>;
  #next = 1;

  constructor(release: string, journal: object | undefined, script: string = HOST, more: object = {}) {
    const env = { ...process.env, ANTHROPIC_API_KEY: "sk-ant-fake" };
    const setting = JSON.stringify({ release, journal, ...more });
    this.#process = spawn(process.execPath, [script, setting], { stdio: ["pipe", "pipe", "inherit"], env });
    this.#process.stdin.on("error", () => {});
    this.#reader = createInterface(this.#process.stdout).on("line", (line) => this.lines.push(JSON.parse(line)));
    this.ended = once(this.#process, "exit").then(([code, signal]) => signal ?? code);
    // A test that times out disposes of nothing.
    onTestFinished(() => this.kill("SIGKILL"));
  }

  /** Resolves with the first line that has these fields, once there is one. */
  async said(wanted: Line): Promise<Line> {
    const fits = (line: Line): boolean =>
      Object.entries(wanted).every(([key, value]) => JSON.stringify(line[key]) === JSON.stringify(value));
    for (;;) {
      const found = this.lines.find(fits);
      if (found !== undefined) return found;
      await once(this.#reader, "line");
    }
  }

  /** Has the process do something. Resolves with its result, or with `{ error }`. */
  async does(what: string, session?: unknown, prompt?: string, key?: string): Promise<unknown> {
    const id = this.#next++;
    this.#process.stdin.write(`${JSON.stringify({ do: what, id, session, prompt, key })}\n`);
    const { value, error, message, details } = await this.said({ id });
    return error === undefined ? value : { error, message, ...(details !== undefined && { details }) };
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.ended;
  }
}
