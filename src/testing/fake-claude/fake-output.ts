import { Readable } from "node:stream";

/** How much is joined into one chunk, in characters: what a pipe holds on Linux. */
const CHUNK = 65_536;

/**
 * Standard output (or error) of a fake process. Lines written in one tick leave in few chunks, and `written()` waits while the reader is
 * behind, as a write to a full pipe would.
 */
export class FakeOutput extends Readable {
  readonly #pending: (string | Buffer)[] = [];
  #pendingLength = 0;
  #wanted = false;
  /** How much had been written when the process was stopped; `undefined` while it is not. */
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

  /** Whether more than one chunk waits to be read. */
  get full(): boolean {
    return this.#pendingLength > CHUNK && !this.#ended;
  }

  /** Resolves when no more than one chunk waits to be read. */
  async written(): Promise<void> {
    if (!this.full) return;
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Keeps everything back, as a stopped process would; `release` lets it flow again. */
  hold(): void {
    this.#heldAt ??= this.#pending.length;
  }

  release(): void {
    this.#heldAt = undefined;
    this.#schedule();
  }

  /** Ends the stream after what was written. What came after `hold` was never written: a stopped process does nothing. */
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
