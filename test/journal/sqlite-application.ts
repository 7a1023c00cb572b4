import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Order } from "./sqlite-host.ts";

/** The answer to an order. */
export interface Answer {
  readonly value?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details: { readonly [name: string]: unknown };
  };
}

interface ApplicationOptions {
  readonly within?: readonly string[];
  readonly uid?: number | undefined;
  /** In addition to the environment of the test. */
  readonly env?: NodeJS.ProcessEnv;
}

const HOST = new URL("./sqlite-host.ts", import.meta.url).pathname;

/** An application in a process of its own, with a journal at `path`. It ends with its scope. */
export class Application {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer | undefined) => void)[] = [];

  /** @param options.within a command that runs the application; the application's own command is appended */
  constructor(path: string, { within = [], uid, env = {} }: ApplicationOptions = {}) {
    const [program = "", ...args] = [...within, process.execPath, HOST, path];
    const user = uid === undefined ? {} : { uid, gid: uid };
    this.#child = spawn(program, args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
      ...user,
    });
    this.#child.stdin?.on("error", () => {});
    if (this.#child.stdout === null) throw new Error("It has no output.");
    createInterface(this.#child.stdout)
      .on("line", (line) => this.#waiting.shift()?.(JSON.parse(line) as Answer))
      .on("close", () => {
        for (const resolve of this.#waiting.splice(0)) resolve(undefined);
      });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Sends an order. Resolves with `undefined` if the application exits before it answers. */
  async order(order: Order): Promise<Answer | undefined> {
    const answer = new Promise<Answer | undefined>((resolve) => this.#waiting.push(resolve));
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    return await answer;
  }

  /** Kills the application and waits for its exit. Its output may stay open in a child that inherited it. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Returns a command that runs a shell command, and the command appended to it, with mounts of their own. */
export function withMounts(shellCommand: string): string[] {
  return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `${shellCommand} && exec "$@"`, "sh"];
}

/** Whether this user may mount in that way on this machine. */
export const canMount: boolean = (() => {
  const [program = "", ...args] = withMounts("mount -t tmpfs tmpfs /tmp");
  return spawnSync(program, [...args, "true"], { stdio: "ignore" }).status === 0;
})();

/**
 * A file system of its own at `folder`. It outlives the applications that are started by `within`, and ends with its
 * scope.
 */
export class PrivateDisk {
  readonly #holder: ChildProcess;
  readonly within: readonly string[];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.within = ["nsenter", "--target", String(holder.pid), "--user", "--mount", "--preserve-credentials"];
  }

  static async at(folder: string, options: string): Promise<PrivateDisk> {
    const mounting = withMounts(`mount -t tmpfs -o ${options} tmpfs ${folder} && echo mounted`);
    const [program = "", ...args] = [...mounting, "tail", "-f", "/dev/null"];
    const holder = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    if (holder.stdout !== null) await once(holder.stdout, "data");
    return new PrivateDisk(holder);
  }

  /** Runs a command that sees the mount. */
  run(...command: string[]): void {
    const [program = "", ...args] = [...this.within, ...command];
    execFileSync(program, args, { stdio: "ignore" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#holder, "exit");
    this.#holder.kill("SIGKILL");
    await gone;
  }
}
