import { EventEmitter } from "node:events";
import { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { SpawnedProcess } from "@anthropic-ai/claude-agent-sdk";

/** The exit of a process: exactly one field is not null. */
export interface FakeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The result of a fake's `spawn`: the SDK's `SpawnedProcess`, with the fields that a host of its own processes reads. */
export interface FakeSpawnedProcess extends SpawnedProcess {
  readonly pid: number;
  readonly stderr: Readable;
}

/** The events that a fake process receives from its parent. */
export interface FakeChildEvents {
  line(line: string): void;
  endOfInput(): void;
  signal(signal: NodeJS.Signals): void;
}

/** The parent's view of a fake process: the part of `child_process.ChildProcess` that the SDK and Castellan use. */
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
    // A write to a dead process must not crash the test; the SDK listens for errors only while the process lives.
    this.stdin.on("error", () => {});
    // An unread stderr must not raise an unhandled error.
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

  /** Reports the exit to the parent, which can still read the remaining output. */
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

/** Standard input of a fake process: emits whole lines, and accepts nothing while the process is stopped. */
export class FakeInput extends Writable {
  readonly #onLine: (line: string) => void;
  readonly #onEnd: () => void;
  readonly #decoder = new StringDecoder("utf8");
  #parts: string[] = [];
  #held = false;
  #resume: (() => void) | undefined;

  constructor(onLine: (line: string) => void, onEnd: () => void) {
    super({ decodeStrings: true });
    this.#onLine = onLine;
    this.#onEnd = onEnd;
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#whenFree(() => {
      this.#take(this.#decoder.write(chunk));
      callback();
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#whenFree(() => {
      this.#take(`${this.#decoder.end()}\n`);
      callback();
      this.#onEnd();
    });
  }

  #whenFree(work: () => void): void {
    if (this.#held) this.#resume = () => this.#whenFree(work);
    else work();
  }

  #take(text: string): void {
    let from = 0;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
      this.#parts.push(text.slice(from, at));
      const line = this.#parts.join("");
      this.#parts = [];
      if (line.trim() !== "") this.#onLine(line);
      from = at + 1;
    }
    if (from < text.length) this.#parts.push(text.slice(from));
  }
}

/** The size of a chunk in characters: the capacity of a pipe on Linux. */
const CHUNK = 65_536;

/**
 * Standard output or error of a fake process. Lines written in one tick are joined into few chunks. `written()` waits while the reader is
 * behind, like a write to a full pipe.
 */
export class FakeOutput extends Readable {
  readonly #pending: (string | Buffer)[] = [];
  #pendingLength = 0;
  #wanted = false;
  /** The number of parts written before the process was stopped; `undefined` while it is not stopped. */
  #heldAt: number | undefined;
  #ended = false;
  #flushing = false;
  #waiters: (() => void)[] = [];

  constructor() {
    super({ highWaterMark: CHUNK });
  }

  write(data: string | Buffer): void {
    if (this.#ended) return;
    this.#pending.push(data);
    this.#pendingLength += data.length;
    this.#schedule();
  }

  /** Whether more than one chunk is unread. */
  get full(): boolean {
    return this.#pendingLength > CHUNK && !this.#ended;
  }

  /** Resolves once at most one chunk is unread. */
  async written(): Promise<void> {
    if (!this.full) return;
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Stops the flow, as for a stopped process, until `release`. */
  hold(): void {
    this.#heldAt ??= this.#pending.length;
  }

  release(): void {
    this.#heldAt = undefined;
    this.#schedule();
  }

  /** Ends the stream after the written data. Drops data written after `hold`, because a stopped process writes nothing. */
  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#heldAt !== undefined) this.#pending.length = this.#heldAt;
    this.#heldAt = undefined;
    this.#wake();
    this.#schedule();
  }

  override _read(): void {
    this.#wanted = true;
    this.#schedule();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#ended = true;
    this.#pending.length = 0;
    this.#pendingLength = 0;
    this.#wake();
    callback(error);
  }

  #schedule(): void {
    if (this.#flushing || !this.#wanted) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#heldAt !== undefined || this.destroyed) return;
    while (this.#wanted && this.#pending.length > 0) this.#wanted = this.push(this.#take());
    if (this.#pending.length > 0) return;
    this.#wake();
    if (this.#ended) this.push(null);
  }

  #take(): string | Buffer {
    const first = this.#pending[0];
    if (typeof first !== "string") {
      this.#pending.shift();
      this.#pendingLength -= first?.length ?? 0;
      return first ?? "";
    }
    let length = 0;
    let count = 0;
    for (const part of this.#pending) {
      if (typeof part !== "string" || (count > 0 && length + part.length > CHUNK)) break;
      length += part.length;
      count += 1;
    }
    this.#pendingLength -= length;
    const taken = this.#pending.splice(0, count);
    return taken.length === 1 ? first : taken.join("");
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
