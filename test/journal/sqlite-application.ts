import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Order } from "./sqlite-host.ts";

/** What an order came to. */
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
  /** Besides that of the test. */
  readonly env?: NodeJS.ProcessEnv;
}

const HOST = new URL("./sqlite-host.ts", import.meta.url).pathname;

/** An application in a process of its own, with a journal at `path`. Ends with the scope that it was made in. */
export class Application {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer | undefined) => void)[] = [];

  /** @param options.within a command that the application is started by; the application's own follows it */
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

  /** Gives an order. Resolves with `undefined` if the application is gone before it has answered. */
  async order(order: Order): Promise<Answer | undefined> {
    const answer = new Promise<Answer | undefined>((resolve) => this.#waiting.push(resolve));
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    return await answer;
  }

  /** Kills it and waits until it is gone. Its output may stay open, if a child of its own has inherited it. */
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

/** The command by which a shell command, and what follows it, get mounts of their own, which vanish with them. */
export function withMounts(shellCommand: string): string[] {
  return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `${shellCommand} && exec "$@"`, "sh"];
}

/** Whether this machine lets this user mount anything that way. */
export const canMount: boolean = (() => {
  const [program = "", ...args] = withMounts("mount -t tmpfs tmpfs /tmp");
  return spawnSync(program, [...args, "true"], { stdio: "ignore" }).status === 0;
})();

/**
 * A file system of its own at `folder`, which outlives the applications on it: they are started by way of `within`. Ends with the
 * scope that it was made in.
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

  /** Runs a command on it. */
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
