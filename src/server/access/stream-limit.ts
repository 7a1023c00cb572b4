/** Limits the event streams that each caller has open at once. */
export class StreamLimit {
  readonly #most: number;
  /** The callers with open streams, by id. */
  readonly #open = new Map<string, number>();

  /** @param most the streams of each caller; `Infinity` for no limit */
  constructor(most: number) {
    this.#most = most;
  }

  /** The number of callers with open streams. */
  get callers(): number {
    return this.#open.size;
  }

  /** Counts a stream. Returns what ends it, which may be called twice; undefined if the caller has too many. */
  take(caller: string): (() => void) | undefined {
    const open = this.#open.get(caller) ?? 0;
    if (open >= this.#most) return undefined;
    this.#open.set(caller, open + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#open.get(caller) ?? 0) - 1;
      if (left > 0) this.#open.set(caller, left);
      else this.#open.delete(caller);
    };
  }
}
