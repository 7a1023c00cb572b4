import { ChildProcess, spawn } from "node:child_process";
import { PassThrough, Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import type { SpawnedProcess, SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { type Clock, pause } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { printable } from "../printable.ts";
import { LineGuard } from "./line-guard.ts";
import { MARKER, thisOwner } from "./marker.ts";
import type { CommandPrefix } from "./parent-death.ts";
import { patient } from "./patience.ts";
import { endMarked, readsMarkers } from "./process-tree.ts";
import { begunAtEnd, hide, hideBegun, type Secrets } from "./secrets.ts";

/** How a process ended, as reported by the operating system. */
export interface ProcessExit {
  readonly code?: number;
  readonly signal?: string;
  /** Why it could not be started. */
  readonly error?: Error;
}

/** The time limits of the stages of an ending, in milliseconds. The last stage is SIGKILL, which nothing survives. */
export interface EndingStages {
  /** From the end of its input to SIGTERM; 0 skips this stage. */
  readonly inputMs: number;
  /** From SIGTERM to SIGKILL; 0 skips this stage, infinity never kills. */
  readonly termMs: number;
}

export interface ProcessWatch {
  onStderr(text: string): void;
  /** Called when a line of the output is not a JSON object. */
  onBreak(reason: string): void;
}

/** How to find a process's descendants. */
interface Descent {
  /** The process group that it leads. */
  readonly group?: number | undefined;
  /** The marker in their environment. */
  readonly marker?: string | undefined;
}

/** How often to check whether a process group is gone after SIGKILL, in milliseconds. */
const DEATH_POLL_MS = 10;

/** How long a process group may take to be gone after SIGKILL. The kernel needs microseconds. */
const DEATH_LIMIT_MS = 2_000;

/**
 * A Claude Code process, started here or by the application's `spawnClaudeCodeProcess`, passed to the SDK, and ended in
 * stages. A process started here leads its own process group, so that processes it started in the group end with it.
 */
export class ClaudeProcess {
  /** The streams that the SDK uses. */
  readonly spawned: SpawnedProcess;
  readonly pid: number | undefined;
  readonly stderr: StderrTail = new StderrTail();
  /** Resolves once the process has exited or failed to start. */
  readonly exited: Promise<ProcessExit>;
  /** Resolves later, once none of its descendants is left. */
  readonly gone: Promise<ProcessExit>;
  readonly #descent: Descent;
  readonly #clock: Clock;
  #exit: ProcessExit | undefined;
  #ending: Promise<ProcessExit> | undefined;

  private constructor(spawned: SpawnedProcess, pid: number | undefined, descent: Descent, clock: Clock) {
    this.spawned = spawned;
    this.pid = pid;
    this.#descent = descent;
    this.#clock = clock;
    this.exited = new Promise((resolve) => {
      const settle = (exit: ProcessExit): void => {
        this.#exit ??= exit;
        resolve(this.#exit);
      };
      spawned.once("exit", (code, signal) =>
        settle({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) }),
      );
      // A running process can also report an error, such as a signal that could not be sent; that is not its end.
      spawned.on("error", (error) => {
        if (pid === undefined) settle({ error });
      });
    });
    this.gone = this.exited.then(async (exit) => {
      await this.#reap();
      return exit;
    });
    // Writing to a process that just died fails here; its exit says more.
    spawned.stdin.on("error", () => {});
    spawned.stdout.on("error", () => {});
  }

  /** Starts `options.command`, behind `prefix`, as the leader of a new process group. */
  static spawn(options: SpawnOptions, prefix: CommandPrefix, clock: Clock, watch: ProcessWatch): ClaudeProcess {
    startOrphanKiller();
    const [command = options.command, ...parameters] = [...prefix, options.command, ...options.args];
    const child = spawn(command, parameters, {
      cwd: options.cwd,
      env: options.env,
      stdio: ["pipe", "pipe", "pipe"],
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    // Without free file descriptors, Node creates no streams and reports the reason later, as for a missing binary.
    if (child.stdout === undefined) {
      Object.assign(child, { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() });
    }
    const group = process.platform === "win32" ? undefined : child.pid;
    const wrapped = new ClaudeProcess(guarded(child, watch), child.pid, { group, marker: options.env[MARKER] }, clock);
    wrapped.#read(child.stderr, watch);
    return wrapped;
  }

  /** Takes over a process that the application started, on this machine or elsewhere. */
  static adopt(spawned: SpawnedProcess, marker: string | undefined, clock: Clock, watch: ProcessWatch): ClaudeProcess {
    const pid = "pid" in spawned && typeof spawned.pid === "number" ? spawned.pid : undefined;
    // A process that is not a child of this one runs elsewhere, with its descendants out of reach.
    const descent = spawned instanceof ChildProcess ? { marker } : {};
    const wrapped = new ClaudeProcess(guarded(spawned, watch), pid, descent, clock);
    if ("stderr" in spawned && spawned.stderr instanceof Readable) wrapped.#read(spawned.stderr, watch);
    return wrapped;
  }

  /**
   * Ends the process; resolves once it and all its descendants are gone. Repeated calls share the first ending, and
   * their stages can only shorten it: a call with both at 0 kills at once.
   */
  end(stages: EndingStages): Promise<ProcessExit> {
    if (this.#ending !== undefined && stages.inputMs === 0 && stages.termMs === 0) this.#signal("SIGKILL");
    this.#ending ??= this.#end(stages);
    return this.#ending;
  }

  #read(stderr: Readable, watch: ProcessWatch): void {
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr.append(text);
      watch.onStderr(text);
    });
    stderr.on("error", () => {});
  }

  async #end({ inputMs, termMs }: EndingStages): Promise<ProcessExit> {
    if (this.#exit === undefined && inputMs > 0) {
      this.spawned.stdin.end();
      await this.#exitWithin(inputMs);
    }
    if (this.#exit === undefined && termMs > 0) {
      this.#signal("SIGTERM");
      await this.#exitWithin(termMs);
    }
    if (this.#exit === undefined) this.#signal("SIGKILL");
    return await this.gone;
  }

  /**
   * Ends the remaining processes in the group and with the marker, and waits until none is left.
   *
   * If markers can be read, they decide when all are gone. The group cannot: it also counts zombies, which stay forever
   * in a container whose first process does not reap them.
   */
  async #reap(): Promise<void> {
    const { group, marker } = this.#descent;
    const deadline = this.#clock.monotonic() + DEATH_LIMIT_MS;
    while (group !== undefined && signalGroup(group, "SIGKILL")) {
      if ((readsMarkers && marker !== undefined) || this.#clock.monotonic() >= deadline) break;
      await pause(this.#clock, DEATH_POLL_MS);
    }
    if (marker !== undefined) await endMarked(marker, this.#clock);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#exit !== undefined) return;
    const { group } = this.#descent;
    if (group === undefined || !signalGroup(group, signal)) this.spawned.kill(signal);
  }

  async #exitWithin(ms: number): Promise<void> {
    if (ms === Number.POSITIVE_INFINITY) {
      await this.exited;
      return;
    }
    await withDeadline(patient(this.#clock), ms, this.exited);
  }
}

/** Returns the same process with a check on its output, which does not change the flow to the reader. */
function guarded<Spawned extends SpawnedProcess>(spawned: Spawned, watch: ProcessWatch): Spawned {
  const guard = new LineGuard(watch.onBreak);
  // A listener must not start the flow of a paused stream; only the reader does.
  spawned.stdout.pause();
  spawned.stdout.on("data", (chunk: Buffer | string) => guard.look(chunk));
  return spawned;
}

/** Sends `signal` to the group. Returns whether the group still had a process. */
function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
}

/** How much error output to keep as evidence, in characters. */
const KEPT = 2048;

/** The last 2 kB of a process's error output, without secrets. */
export class StderrTail {
  /** Secrets are already replaced, so it can be cut anywhere. */
  #text = "";
  /** The latest output, if it may be the beginning of a secret. */
  #begun = "";
  /** Values that must not be shown wherever the evidence appears. */
  secrets: Secrets = [];

  append(text: string): void {
    const hidden = hide(this.#begun + text, this.secrets);
    const end = hidden.length - begunAtEnd(hidden, this.secrets);
    this.#text = (this.#text + hidden.slice(0, end)).slice(-KEPT);
    this.#begun = hidden.slice(end);
  }

  /** `undefined` if nothing was written. */
  get text(): string | undefined {
    const shown = printable(stripVTControlCharacters(this.#text + hideBegun(this.#begun)));
    const trimmed = shown.slice(-KEPT).trim();
    return trimmed === "" ? undefined : trimmed;
  }
}

/*
 * Waits until this host is gone, which closes the script's input, then gives the remaining processes a second to end by
 * themselves and kills the rest. `grep` finds processes with the host's marker in their environment.
 */
const SCRIPT = `
cat > /dev/null
hunt() { grep -lsF "$1" /proc/[0-9]*/environ; }
[ -n "$(hunt "$1")" ] || exit 0
sleep 1
for file in $(hunt "$1"); do
  pid=\${file#/proc/}
  kill -KILL "\${pid%/environ}" 2> /dev/null
done
`;

let started = false;

/**
 * Starts, once per host, a small process that outlives the host and ends what its death left behind.
 *
 * On the parent-death signal, Claude Code ends its commands and itself, usually within 100 ms. While it waits for an
 * MCP server it may take seconds, and a hung process does not end at all. Only Linux shows the environment of a
 * process.
 */
function startOrphanKiller(): void {
  if (started || process.platform !== "linux") return;
  started = true;
  const { namespace, pid, startTime } = thisOwner();
  const killer = spawn("sh", ["-c", SCRIPT, "castellan-orphan-killer", `${MARKER}=${namespace}/${pid}/${startTime}/`], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: process.env["PATH"] },
    detached: true,
  });
  // Without a shell there is no orphan killer; the next host then kills the orphans.
  killer.on("error", () => {});
  if (killer.stdin === undefined) {
    // Without free file descriptors, Node creates no streams; the next start tries again.
    started = false;
    return;
  }
  killer.stdin.on("error", () => {});
  killer.unref();
  if ("unref" in killer.stdin && typeof killer.stdin.unref === "function") killer.stdin.unref();
}
