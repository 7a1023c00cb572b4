import type { Clock } from "../../clock.ts";

/**
 * Remembers the nonces of requests, so that none is accepted twice. It keeps each for at least `keepMs` and at most
 * twice as long. For forgotten ones it keeps the latest signing time: a wall clock that is set back does not make those
 * requests valid again.
 */
export class Nonces {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #keepMs: number;
  readonly #limit: number;
  #recent = new Seen();
  #earlier = new Seen();
  #since: number;
  /** Latest signing time among forgotten nonces. */
  #forgotten = Number.NEGATIVE_INFINITY;

  /** `limit` is the maximum number of remembered nonces. */
  constructor(clock: Pick<Clock, "monotonic">, keepMs: number, limit: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#limit = limit;
    this.#since = clock.monotonic();
  }

  /**
   * Remembers the nonce, unless it is known or the limit is reached.
   *
   * @param at when the request was signed, in milliseconds since the epoch
   * @returns `"late"` if the request is not dated after every forgotten nonce, and so may be a replay
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
  /** Latest signing time. */
  last = Number.NEGATIVE_INFINITY;

  add(nonce: string, at: number): void {
    this.nonces.add(nonce);
    this.last = Math.max(this.last, at);
  }
}
