import type { Clock } from "../../clock.ts";

/**
 * The nonces of the requests that have been seen, so that none is taken twice. Each is remembered for `keepMs` at least and for
 * twice as long at the most. Of one that is forgotten it is known when it was signed: a wall clock that is set back makes nothing of
 * that time good again.
 */
export class Nonces {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #keepMs: number;
  readonly #limit: number;
  #recent = new Seen();
  #earlier = new Seen();
  #since: number;
  /** When the last request was signed whose nonce is forgotten. */
  #forgotten = Number.NEGATIVE_INFINITY;

  /** `limit` is how many are remembered. */
  constructor(clock: Pick<Clock, "monotonic">, keepMs: number, limit: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#limit = limit;
    this.#since = clock.monotonic();
  }

  /**
   * Remembers it, unless it has been seen, or there is no room for more.
   *
   * @param at when the request was signed, in milliseconds since the epoch
   * @returns `"late"` if it was signed at a time of which nonces are forgotten, so that it may have been seen
   */
  take(nonce: string, at: number): "new" | "seen" | "late" | "full" {
    const age = this.#clock.monotonic() - this.#since;
    if (age >= this.#keepMs) {
      this.#forget(this.#earlier);
      if (age >= 2 * this.#keepMs) this.#forget(this.#recent);
      this.#earlier = age >= 2 * this.#keepMs ? new Seen() : this.#recent;
      this.#recent = new Seen();
      this.#since += age;
    }
    if (this.#recent.nonces.has(nonce) || this.#earlier.nonces.has(nonce)) return "seen";
    if (at <= this.#forgotten) return "late";
    if (this.#recent.nonces.size + this.#earlier.nonces.size >= this.#limit) return "full";
    this.#recent.add(nonce, at);
    return "new";
  }

  #forget({ last }: Seen): void {
    this.#forgotten = Math.max(this.#forgotten, last);
  }
}

class Seen {
  readonly nonces = new Set<string>();
  /** When the last of them was signed. */
  last = Number.NEGATIVE_INFINITY;

  add(nonce: string, at: number): void {
    this.nonces.add(nonce);
    this.last = Math.max(this.last, at);
  }
}
