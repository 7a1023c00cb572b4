/** What the API answers instead of a model. */
export interface ApiFailure {
  readonly status: number;
  readonly message: string;
}

interface Failure extends ApiFailure {
  /** When it is too late for it, in milliseconds. */
  readonly until: number;
}

/**
 * The requests that the API is to fail. Each failure is for the next request that comes in time. Without that, those that no
 * request came for would pile up while turns are held back, and then fail every turn that is tried, so that sessions hold
 * their turns back for longer and longer: from then on nothing succeeds any more, and nobody but the test is to blame.
 */
export class ApiFailures {
  readonly #now: () => number;
  #failures: readonly Failure[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The next request fails so, if one comes within so many milliseconds. */
  add(failure: ApiFailure, withinMs: number): void {
    this.#failures = [...this.#due, { ...failure, until: this.#now() + withinMs }];
  }

  /** Whether a request would fail now. */
  get any(): boolean {
    return this.#due.length > 0;
  }

  /** How a request fails that comes now, if it is to. */
  take(): ApiFailure | undefined {
    const [first, ...rest] = this.#due;
    this.#failures = rest;
    return first && { status: first.status, message: first.message };
  }

  get #due(): readonly Failure[] {
    return this.#failures.filter(({ until }) => this.#now() < until);
  }
}
