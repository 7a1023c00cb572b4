import type { Clock } from "../clock.ts";

/**
 * The nonces of the requests that have been seen, so that none is taken twice. Each is remembered for `keepMs` at least and for
 * twice as long at the most.
 */
export class Nonces {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #keepMs: number;
  readonly #limit: number;
  #recent = new Set<string>();
  #earlier: ReadonlySet<string> = new Set();
  #since: number;

  /** `limit` is how many are remembered. */
  constructor(clock: Pick<Clock, "monotonic">, keepMs: number, limit: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#limit = limit;
    this.#since = clock.monotonic();
  }

  /** Remembers it, unless it has been seen, or there is no room for more. */
  take(nonce: string): "new" | "seen" | "full" {
    const age = this.#clock.monotonic() - this.#since;
    if (age >= this.#keepMs) {
      this.#earlier = age >= 2 * this.#keepMs ? new Set() : this.#recent;
      this.#recent = new Set();
      this.#since += age;
    }
    if (this.#recent.has(nonce) || this.#earlier.has(nonce)) return "seen";
    if (this.#recent.size + this.#earlier.size >= this.#limit) return "full";
    this.#recent.add(nonce);
    return "new";
  }
}
