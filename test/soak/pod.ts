import type { ChildProcess } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RunningCommand } from "../cli/command-line.ts";
import { SeverableLine } from "../cluster/severable-line.ts";
import { freePort } from "../free-port.ts";
import { commandOf, processesWith } from "../real/processes.ts";

const INDEX = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

/** What each pod of a deployment reads: environment variables alone tell them apart. */
const CONFIG = `
import { global, template } from ${JSON.stringify(INDEX)};

export default {
  name: "app",
  journal: "memory",
  children: [template(global("chat"))],
  defaults: { allowedTools: ["Bash", "Read"], includePartialMessages: true },
  cluster: {
    postgres: { env: "DATABASE_URL" },
    schema: { env: "DATABASE_SCHEMA" },
    secret: { env: "CLUSTER_SECRET" },
    name: { env: "POD_NAME" },
    labels: { zone: { env: "ZONE" } },
    advertise: { env: "ADVERTISE" },
    listen: { host: "127.0.0.1", port: { env: "CLUSTER_PORT", as: "number" } },
    patience: "30s",
  },
};
`;

/** How often the probes are sent, and how long an answer may take, in milliseconds. */
const PROBE_MS = 500;
const ANSWER_MS = 5_000;

/** How many liveness probes in a row may fail before the container is killed. */
const MOST_FAILURES = 3;

export interface PodOptions {
  readonly name: string;
  readonly zone: string;
  /** A directory of its own, by which its processes are recognised. */
  readonly directory: string;
  /** The port of the database, and its URL with a given port. */
  readonly database: { readonly port: number; readonly schema: string; url(port: number): string };
  readonly secret: string;
  /** The environment of the real Claude Code: the model's address. */
  readonly env: Readonly<Record<string, string>>;
}

type PodLines = readonly [toDatabase: SeverableLine, fromOthers: SeverableLine, fromClients: SeverableLine];

/** `castellan serve` in a process of its own, with the probes and the grace period that Kubernetes gives to a pod. */
export class Pod {
  readonly name: string;
  readonly zone: string;
  /** Where clients reach its server. */
  readonly port: number;
  /** Resolves once its process has exited. */
  readonly gone: Promise<void>;
  /** How often a liveness probe would have had its container restarted. */
  restarts = 0;
  readonly #directory: string;
  readonly #command: RunningCommand;
  /** Where the probes of its own machine reach it. */
  readonly #own: number;
  readonly #lines: PodLines;
  readonly #probing: NodeJS.Timeout;
  #ready = false;
  #hasStarted = false;
  #failures = 0;
  #terminating = false;
  #isCut = false;

  private constructor({ name, zone, directory }: PodOptions, own: number, command: RunningCommand, lines: PodLines) {
    this.name = name;
    this.zone = zone;
    this.port = lines[2].port;
    this.#own = own;
    this.#directory = directory;
    this.#command = command;
    this.#lines = lines;
    this.gone = command.ended.then(() => {
      this.#ready = false;
      clearInterval(this.#probing);
    });
    this.#probing = setInterval(() => void this.#probe(), PROBE_MS);
  }

  /** Starts the container. */
  static async start(options: PodOptions): Promise<Pod> {
    const { name, zone, directory, database, secret, env } = options;
    const [home, port, own] = [join(directory, "home"), await freePort(), await freePort()];
    await mkdir(join(home, ".claude"), { recursive: true });
    await writeFile(join(directory, "castellan.config.ts"), CONFIG);
    const toDatabase = await SeverableLine.start(database.port);
    const fromOthers = await SeverableLine.start(own);
    const fromClients = await SeverableLine.start(port);
    const command = new RunningCommand(["serve", "--listen", `127.0.0.1:${port}`, "--drain-timeout", "20s"], {
      cwd: directory,
      env: {
        ...env,
        HOME: home,
        CLAUDE_CONFIG_DIR: join(home, ".claude"),
        ANTHROPIC_API_KEY: `sk-ant-mock-${name}`,
        POD_NAME: name,
        ZONE: zone,
        DATABASE_URL: database.url(toDatabase.port),
        DATABASE_SCHEMA: database.schema,
        CLUSTER_SECRET: secret,
        CLUSTER_PORT: String(own),
        ADVERTISE: `http://127.0.0.1:${fromOthers.port}`,
      },
    });
    return new Pod(options, port, command, [toDatabase, fromOthers, fromClients]);
  }

  /** Whether it gets new connections. Neither a pod that is terminated does, nor one on a machine that nobody reaches. */
  get isReady(): boolean {
    return this.#ready && !this.#terminating && !this.#isCut;
  }

  /** The pids of its server, of its sessions and of their commands. */
  get processes(): number[] {
    return processesWith(this.#directory);
  }

  /** The pids of its Claude Code processes. */
  get claudes(): number[] {
    return this.processes.filter((pid) => commandOf(pid).includes("claude-agent-sdk"));
  }

  /** Sends SIGTERM, and SIGKILL after the grace period. Resolves with whether SIGTERM was enough. */
  async terminate(graceMs: number): Promise<boolean> {
    this.#terminating = true;
    let isKilled = false;
    const late = setTimeout(() => {
      isKilled = true;
      this.kill();
    }, graceMs);
    this.#child.kill("SIGTERM");
    await this.gone;
    clearTimeout(late);
    return !isKilled;
  }

  /** Kills every process of the pod, as the kernel does when the group exceeds its memory (`memory.oom.group`). */
  kill(): void {
    this.#child.kill("SIGKILL");
    for (const pid of this.processes) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    }
  }

  /** Cuts the pod off from the database, the other pods and the clients. Its own machine goes on probing it. */
  cut(): void {
    this.#isCut = true;
    for (const line of this.#lines) line.cut();
  }

  restore(): void {
    this.#isCut = false;
    for (const line of this.#lines) line.restore();
  }

  async remove(): Promise<void> {
    this.kill();
    await this.gone;
    await Promise.all(this.#lines.map((line) => line.stop()));
  }

  get #child(): ChildProcess {
    return this.#command.child;
  }

  async #probe(): Promise<void> {
    const [ready, live] = await Promise.all([this.#answers("readyz"), this.#answers("livez")]);
    this.#ready = ready;
    this.#hasStarted ||= live;
    // Until its first success, the startup probe decides.
    this.#failures = live || !this.#hasStarted ? 0 : this.#failures + 1;
    if (this.#failures === MOST_FAILURES && !this.#terminating) this.restarts++;
  }

  async #answers(probe: string): Promise<boolean> {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = fetch(`http://127.0.0.1:${this.#own}/${probe}`, { signal });
    return await answer.then(
      ({ ok }) => ok,
      () => false,
    );
  }
}
