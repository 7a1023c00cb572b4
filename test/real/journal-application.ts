import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Order, Report } from "./journal-host.ts";

const HOST = fileURLToPath(new URL("./journal-host.ts", import.meta.url));

/** An application with a journal, in a process of its own. */
export class JournalApplication {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  /** Resolves once the process has exited and all its output was read. */
  readonly gone: Promise<void>;

  constructor(onReport: (report: Report) => void) {
    this.#child = spawn(process.execPath, [HOST], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("The application has no output.");
    this.#lines = createInterface(this.#child.stdout).on("line", (line) => onReport(JSON.parse(line) as Report));
    // Writing to a process that was just killed emits an error.
    this.#child.stdin?.on("error", () => {});
    this.gone = Promise.all([once(this.#child, "exit"), once(this.#lines, "close")]).then(() => {});
  }

  /** Whether the process has exited. */
  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number | undefined {
    return this.ended ? undefined : this.#child.pid;
  }

  order(order: Order): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.gone;
  }
}
