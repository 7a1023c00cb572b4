/** How many requests a caller may make. */
export interface RateLimitSettings {
  /** The number of requests in one period, also at once. */
  readonly requests: number;
  /** The length of the period in milliseconds. */
  readonly perMs: number;
}

interface Bucket {
  /** The requests that are left, as of `at`. */
  readonly left: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** How many callers are remembered. The application's own authentication may know any number. */
const CALLERS = 10_000;

/** Limits the requests of each caller: a bucket that refills steadily. */
export class RateLimit {
  readonly #settings: RateLimitSettings;
  /** The callers by id, the one that asked last at the end. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(settings: RateLimitSettings) {
    this.#settings = settings;
  }

  /**
   * Counts a request.
   *
   * @param now monotonic milliseconds
   * @returns 0 if it is allowed, otherwise the milliseconds until the next one is
   */
  take(caller: string, now: number): number {
    const { requests, perMs } = this.#settings;
    const { left, at } = this.#buckets.get(caller) ?? { left: requests, at: now };
    const filled = Math.min(requests, left + ((now - at) * requests) / perMs);
    this.#buckets.delete(caller);
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined && this.#buckets.size >= CALLERS) this.#buckets.delete(oldest);
    this.#buckets.set(caller, { left: filled >= 1 ? filled - 1 : filled, at: now });
    return filled >= 1 ? 0 : Math.ceil(((1 - filled) * perMs) / requests);
  }
}
