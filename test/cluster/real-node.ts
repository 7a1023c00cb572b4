import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ClusterOptions } from "../../src/index.ts";
import { freePort } from "../free-port.ts";
import { processesWith } from "../real/processes.ts";
import type { NodeOrder, NodeReport, NodeStart } from "./node-host.ts";
import { SeverableLine } from "./severable-line.ts";

const HOST = fileURLToPath(new URL("./node-host.ts", import.meta.url));

export interface RealNodeOptions {
  readonly name: string;
  /** A directory of its own, by which its processes are recognised. */
  readonly directory: string;
  /** PostgreSQL or a proxy before it, and its URL with a given port. */
  readonly postgres: { readonly port: number; url(port: number): string };
  readonly cluster: Omit<ClusterOptions, "postgres" | "advertise" | "name">;
  readonly env: Readonly<Record<string, string>>;
  readonly claude: NodeStart["claude"];
  readonly always: readonly string[];
  readonly deadlineMs: number;
  readonly webhooks?: NodeStart["webhooks"];
  /** How far the wall clock of its process is ahead, in milliseconds. */
  readonly clockAheadMs?: number;
}

type Answer = Exclude<NodeReport, { readonly is: "ready" | "warning" | "failed" }>;

/** A node in a process of its own, with a home of its own, and proxies to PostgreSQL and from the other nodes. */
export class RealNode {
  readonly name: string;
  readonly directory: string;
  /** Resolves once it has joined. */
  readonly ready: Promise<void>;
  /** Resolves once its process has exited. */
  readonly gone: Promise<void>;
  /** The warnings that it logged. */
  readonly warnings: string[] = [];
  /** Its connection to PostgreSQL. */
  readonly toPostgres: SeverableLine;
  /** The connection by which all others reach it. */
  readonly fromOthers: SeverableLine;
  readonly #process: ChildProcess;
  readonly #answers = new Map<number, PromiseWithResolvers<Answer>>();
  #asked = 0;

  private constructor(
    { name, directory }: RealNodeOptions,
    process: ChildProcess,
    [toPostgres, fromOthers]: readonly [SeverableLine, SeverableLine],
  ) {
    this.name = name;
    this.directory = directory;
    this.#process = process;
    this.toPostgres = toPostgres;
    this.fromOthers = fromOthers;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    promise.catch(() => {});
    process.on("message", (report: NodeReport) => {
      if (report.is === "ready") resolve();
      else if (report.is === "warning") this.warnings.push(report.message);
      else if (report.is === "failed" && report.id === 0) reject(new Error(`${name}: ${report.message}`));
      else if (report.is === "failed") {
        this.#answers.get(report.id)?.reject(Object.assign(new Error(report.message), { code: report.code }));
      } else this.#answers.get(report.id)?.resolve(report);
    });
    const over = new Error(`node ${name} has ended`);
    this.gone = once(process, "exit").then(() => {
      reject(over);
      for (const answer of this.#answers.values()) answer.reject(over);
    });
  }

  /** Starts the process, which joins the cluster. */
  static async start(options: RealNodeOptions): Promise<RealNode> {
    const { name, directory, postgres, cluster, env, claude, always, deadlineMs, webhooks, clockAheadMs = 0 } = options;
    const [home, work] = [join(directory, "home"), join(directory, `work-of-${name}`)];
    await Promise.all([mkdir(join(home, ".claude"), { recursive: true }), mkdir(work, { recursive: true })]);
    // The node's own port is known before it listens.
    const toPostgres = await SeverableLine.start(postgres.port);
    const port = Promise.withResolvers<number>();
    const fromOthers = await SeverableLine.start(port.promise);
    const own = await freePort();
    port.resolve(own);
    const execArgv = clockAheadMs === 0 ? [] : ["--import", wallClock(clockAheadMs)];
    const child = fork(HOST, [name], { execArgv, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const node = new RealNode(options, child, [toPostgres, fromOthers]);
    node.#send({
      do: "start",
      cluster: {
        ...cluster,
        name,
        postgres: postgres.url(toPostgres.port),
        advertise: `${cluster.tls === undefined ? "http" : "https"}://127.0.0.1:${fromOthers.port}`,
        listen: { host: "127.0.0.1", port: own },
      },
      env: { ...env, HOME: home, CLAUDE_CONFIG_DIR: join(home, ".claude"), ANTHROPIC_API_KEY: `sk-ant-mock-${name}` },
      cwd: work,
      claude,
      always,
      deadlineMs,
      webhooks,
    });
    return node;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** The pids of its sessions' Claude Code processes and their descendants. */
  get processes(): number[] {
    return processesWith(this.directory);
  }

  /** Runs a turn from this node. Rejects with an Error that has the `code` of the node's error. */
  async query(name: readonly [string, ...string[]], prompt: string): Promise<string> {
    const answer = await this.#ask((id) => ({ do: "query", id, name, prompt }));
    return answer.is === "answered" ? answer.text : "";
  }

  /** Gives a pool of this node a job. Resolves with the id and the text of its turn. */
  async job(pool: string, prompt: string): Promise<readonly [turnId: string, text: string]> {
    const answer = await this.#ask((id) => ({ do: "job", id, pool, prompt }));
    return answer.is === "worked" ? [answer.turnId, answer.text] : ["", ""];
  }

  /** Runs several turns from this node. */
  async measure(
    name: readonly [string, ...string[]],
    prompt: string,
    turns: number,
  ): Promise<{ readonly ms: readonly number[]; readonly messages: number }> {
    const answer = await this.#ask((id) => ({ do: "measure", id, name, prompt, turns }));
    return answer.is === "measured" ? answer : { ms: [], messages: 0 };
  }

  /** Returns whether the node is ready, and the reasons if not. */
  async look(): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }> {
    const answer = await this.#ask((id) => ({ do: "look", id }));
    return answer.is === "looked" ? answer : { ready: false, reasons: [] };
  }

  /** Removes the transcripts of its sessions, as if its machine were lost. The node is gone, or its sessions have no process. */
  async loseTranscripts(): Promise<void> {
    await rm(join(this.directory, "home", ".claude", "projects"), { recursive: true, force: true, maxRetries: 10 });
  }

  /** Kills the node and stops its proxies. */
  async end(): Promise<void> {
    this.kill("SIGKILL");
    await this.gone;
    await Promise.all([this.toPostgres.stop(), this.fromOthers.stop()]);
  }

  async #ask(order: (id: number) => NodeOrder): Promise<Answer> {
    this.#asked += 1;
    const answer = Promise.withResolvers<Answer>();
    this.#answers.set(this.#asked, answer);
    this.#send(order(this.#asked));
    return await answer.promise;
  }

  #send(order: NodeOrder): void {
    // The node may have exited, which `gone` reports.
    this.#process.send(order, () => {});
  }
}

/** Returns a module that sets the wall clock of its process forward, or back. */
function wallClock(aheadMs: number): string {
  return `data:text/javascript,${encodeURIComponent(`const now = Date.now; Date.now = () => now() + ${aheadMs};`)}`;
}
