import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SpawnedProcess, SpawnOptions } from "@anthropic-ai/claude-agent-sdk";

/** The number of processes. */
export interface FarCount {
  readonly started: number;
  /** The peak number of concurrent processes. */
  readonly most: number;
}

/**
 * Fake Claude Code processes that all run in one other process. Ten thousand starts take no longer than ten thousand connections, and the
 * fakes use no memory of this process.
 */
export class FarClaude implements AsyncDisposable {
  readonly #host: ChildProcess;
  readonly #directory: string;
  /** The path of the socket, for {@link farSpawn} in other processes. */
  readonly path: string;

  private constructor(host: ChildProcess, directory: string, path: string) {
    this.#host = host;
    this.#directory = directory;
    this.path = path;
    this.spawn = farSpawn(path);
  }

  static async start(): Promise<FarClaude> {
    const directory = await mkdtemp(join(tmpdir(), "castellan-far-"));
    const path = process.platform === "win32" ? `\\\\.\\pipe\\${directory}` : join(directory, "socket");
    const host = fork(fileURLToPath(new URL("./far-host.ts", import.meta.url)), [path], { execArgv: [] });
    await once(host, "message");
    return new FarClaude(host, directory, path);
  }

  /** The `spawnClaudeCodeProcess` option of the sessions. */
  readonly spawn: (options: SpawnOptions) => SpawnedProcess;

  async count(): Promise<FarCount> {
    const answer = once(this.#host, "message");
    this.#host.send("count");
    const [count] = (await answer) as [FarCount];
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#host, "exit");
    this.#host.disconnect();
    await gone;
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Starts a fake process over the socket at `path`, see {@link FarClaude}. */
export function farSpawn(path: string): (options: SpawnOptions) => SpawnedProcess {
  return ({ args }) => {
    const socket = connect(path);
    socket.write(`${JSON.stringify({ args })}\n`);
    return new FarProcess(socket);
  };
}

/** The parent's view of a fake process. An unexpected end is a crash. */
class FarProcess extends EventEmitter implements SpawnedProcess {
  readonly stdin: Socket;
  readonly stdout: Socket;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  killed = false;
  #signal: NodeJS.Signals | undefined;

  constructor(socket: Socket) {
    super();
    this.stdin = socket;
    this.stdout = socket;
    let asked = false;
    socket.once("finish", () => {
      asked = !socket.readableEnded;
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      if (asked && this.#signal === undefined) this.exitCode = 0;
      else this.signalCode = this.#signal ?? "SIGKILL";
      this.emit("exit", this.exitCode, this.signalCode);
    });
  }

  /** Sends a signal. The process is gone once the other side confirms. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.exitCode !== null || this.signalCode !== null) return false;
    this.killed = true;
    this.#signal ??= signal;
    this.stdin.end();
    return true;
  }
}
