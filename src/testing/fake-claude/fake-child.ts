import { EventEmitter } from "node:events";
import type { Readable } from "node:stream";
import type { SpawnedProcess } from "@anthropic-ai/claude-agent-sdk";
import { FakeInput } from "./fake-input.ts";
import { FakeOutput } from "./fake-output.ts";

/** How a process ended: exactly one of the two is not null. */
export interface FakeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a fake's `spawn` returns: the SDK's `SpawnedProcess`, and what a host that runs its own processes looks at besides. */
export interface FakeSpawnedProcess extends SpawnedProcess {
  readonly pid: number;
  readonly stderr: Readable;
}

/** What the body of a fake process must answer to. */
export interface FakeChildEvents {
  line(line: string): void;
  endOfInput(): void;
  signal(signal: NodeJS.Signals): void;
}

/** The parent's view of a fake process: what `child_process.spawn` would have returned, as far as anybody looks at it. */
export class FakeChild extends EventEmitter implements FakeSpawnedProcess {
  readonly pid: number;
  readonly stdin: FakeInput;
  readonly stdout: FakeOutput = new FakeOutput();
  readonly stderr: FakeOutput = new FakeOutput();
  readonly #events: FakeChildEvents;
  #exit: FakeExit | undefined;
  #killed = false;

  constructor(pid: number, events: FakeChildEvents) {
    super();
    this.pid = pid;
    this.#events = events;
    this.stdin = new FakeInput(
      (line) => events.line(line),
      () => events.endOfInput(),
    );
    // A parent that writes to a dead process must not bring the test down; the SDK listens too, but only while it lives.
    this.stdin.on("error", () => {});
    // Nobody has to read standard error; what is there must not keep the stream open.
    this.stderr.on("error", () => {});
  }

  get exitCode(): number | null {
    return this.#exit?.code ?? null;
  }

  get signalCode(): NodeJS.Signals | null {
    return this.#exit?.signal ?? null;
  }

  get killed(): boolean {
    return this.#killed;
  }

  kill(signal: NodeJS.Signals | number = "SIGTERM"): boolean {
    if (this.#exit !== undefined) return false;
    if (signal === 0) return true;
    this.#killed = true;
    this.#events.signal(typeof signal === "number" ? "SIGTERM" : signal);
    return true;
  }

  /** The process is gone: its parent learns of it, and reads the rest of what it wrote. */
  exited(exit: FakeExit): void {
    this.#exit = exit;
    this.stdout.finish();
    this.stderr.finish();
    setImmediate(() => {
      this.stdin.destroy();
      this.emit("exit", exit.code, exit.signal);
      this.emit("close", exit.code, exit.signal);
    });
  }
}
