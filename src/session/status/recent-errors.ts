import type { Clock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";

/** The half-life of an error's weight. */
const HALF_LIFE_MS = 30_000;

/** A decaying sum of errors. */
interface Score {
  readonly errors: number;
  /** When `errors` was last computed, on the monotonic clock. */
  readonly at: number;
}

const NO_ERRORS: Score = { errors: 0, at: 0 };

/** Returns the value of a score at `now`. */
export function decayed({ errors, at }: Score, now: number): number {
  return errors * 0.5 ** (Math.max(0, now - at) / HALF_LIFE_MS);
}

/**
 * Whether an error counts against the session. Errors that the caller caused do not: a stopped turn, an invalid
 * request, a limit of the turn itself.
 */
export function isOfSession(error: unknown): boolean {
  if (CastellanError.is(error, "TURN_FAILED"))
    return error.details.class !== "request" && error.details.class !== "turn";
  if (CastellanError.is(error, "TURN_INTERRUPTED")) return error.details.exit !== undefined;
  return CastellanError.is(error, "TURN_TIMEOUT") || CastellanError.is(error, "QUEUE_TIMEOUT");
}

/** How often a session's turns failed recently. Balancers use it. */
export class RecentErrors {
  readonly #clock: Clock;
  #score: Score = NO_ERRORS;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The decayed number of errors: an error counts 1 at first and one half after thirty seconds. */
  get now(): number {
    return decayed(this.#score, this.#clock.monotonic());
  }

  /** Adds the error if `result` rejects with one that counts. */
  watch(result: Promise<unknown>): void {
    result.catch((error: unknown) => {
      if (isOfSession(error)) this.#score = { errors: this.now + 1, at: this.#clock.monotonic() };
    });
  }
}
