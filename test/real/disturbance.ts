import { setTimeout as delay } from "node:timers/promises";
import { commandOf } from "./processes.ts";

/** The kinds of processes that can be disturbed. */
export type Victim = "host" | "claude" | "tool" | "MCP server";

/** The kinds of disturbance. A stopped process continues later. */
export type DisturbanceKind = "kill" | "stop";

/**
 * The longest times between two disturbances and of a stop, in milliseconds. One stop in ten may be as long as
 * `LONG_MS`.
 */
const PAUSE_MS = 300;
const STOPPED_MS = 400;
const LONG_MS = 6_000;

/**
 * The least time between two kills of Claude Code, in milliseconds: six failed starts in a row quarantine a session.
 */
const SPARED_MS = 2_500;

/**
 * Each disturbance as often as it is drawn. The caller kills hosts. Commands run only briefly, so they are drawn more
 * often.
 */
const DISTURBANCES: readonly (readonly [DisturbanceKind, Victim])[] = [
  ["stop", "host"],
  ["kill", "claude"],
  ["stop", "claude"],
  ...Array<[DisturbanceKind, Victim]>(6).fill(["kill", "tool"]),
  ...Array<[DisturbanceKind, Victim]>(6).fill(["stop", "tool"]),
  ["kill", "MCP server"],
  ["stop", "MCP server"],
];

/** Kills, stops and continues random processes of an application and its descendants until it ends. */
export class Disturbance {
  /** How often each disturbance happened, by names such as `stop claude`. */
  readonly done: Map<string, number> = new Map();
  readonly #processes: () => readonly number[];
  readonly #host: () => number | undefined;
  readonly #random: () => number;
  readonly #over = new AbortController();
  readonly #continued: Promise<void>[] = [];
  readonly #run: Promise<void>;

  /** `processes` returns the pids of all descendants, `host` the pid of the application. */
  constructor(processes: () => readonly number[], host: () => number | undefined, random: () => number) {
    this.#processes = processes;
    this.#host = host;
    this.#random = random;
    this.#run = this.#disturb();
  }

  /** Ends the disturbance and continues every stopped process. */
  async end(): Promise<void> {
    this.#over.abort();
    await this.#run;
    await Promise.all(this.#continued);
  }

  async #disturb(): Promise<void> {
    let spared = 0;
    while (!this.#over.signal.aborted) {
      await this.#pause(this.#random() * PAUSE_MS);
      const [disturbance, victim] = DISTURBANCES[Math.floor(this.#random() * DISTURBANCES.length)] ?? ["stop", "host"];
      const isKill = disturbance === "kill" && victim === "claude";
      if (isKill && performance.now() < spared) continue;
      const candidates = this.#candidates(victim);
      const pid = candidates[Math.floor(this.#random() * candidates.length)];
      if (pid === undefined || this.#over.signal.aborted || !send(pid, disturbance === "kill" ? "SIGKILL" : "SIGSTOP"))
        continue;
      if (isKill) spared = performance.now() + SPARED_MS;
      const what = `${disturbance} ${victim}`;
      this.done.set(what, (this.done.get(what) ?? 0) + 1);
      if (disturbance === "stop") this.#continued.push(this.#continueLater(pid));
    }
  }

  async #continueLater(pid: number): Promise<void> {
    await this.#pause(this.#random() * (this.#random() < 0.1 ? LONG_MS : STOPPED_MS));
    send(pid, "SIGCONT");
  }

  #candidates(victim: Victim): number[] {
    const host = this.#host();
    if (victim === "host") return host === undefined ? [] : [host];
    return this.#processes().filter((pid) => pid !== host && kindOf(pid) === victim);
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#over.signal }).catch(() => {});
  }
}

/** Returns what a process of the application is, by its command line. */
function kindOf(pid: number): Exclude<Victim, "host"> {
  const command = commandOf(pid);
  if (command.includes("mcp-server.ts")) return "MCP server";
  return command.includes("--output-format") ? "claude" : "tool";
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
