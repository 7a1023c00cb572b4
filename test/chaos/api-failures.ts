/** An error that the API answers instead of a model. */
export interface ApiFailure {
  readonly status: number;
  readonly message: string;
}

interface Failure extends ApiFailure {
  /** When the failure expires, in milliseconds. */
  readonly until: number;
}

/**
 * The failures that the API still has to return. Each is for the next request before its expiry. Without an expiry,
 * failures would pile up while turns are held back, and then fail every retried turn. Sessions would hold their turns
 * for longer and longer, until nothing succeeded any more.
 */
export class ApiFailures {
  readonly #now: () => number;
  #failures: readonly Failure[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Fails the next request, if one comes within that many milliseconds. */
  add(failure: ApiFailure, withinMs: number): void {
    this.#failures = [...this.#due, { ...failure, until: this.#now() + withinMs }];
  }

  /** Whether a request would fail now. */
  get any(): boolean {
    return this.#due.length > 0;
  }

  /** Returns the failure of a request that comes now, and consumes it. */
  take(): ApiFailure | undefined {
    const [first, ...rest] = this.#due;
    this.#failures = rest;
    return first && { status: first.status, message: first.message };
  }

  get #due(): readonly Failure[] {
    return this.#failures.filter(({ until }) => this.#now() < until);
  }
}
