import type { Clock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";

/** After how long an error counts half. */
const HALF_LIFE_MS = 30_000;

/** A sum of errors, each of which counts for less as time goes by. */
interface Score {
  readonly errors: number;
  /** On the monotonic clock. */
  readonly at: number;
}

/** What is left of a score at a later moment. */
export function decayed({ errors, at }: Score, now: number): number {
  return errors * 0.5 ** (Math.max(0, now - at) / HALF_LIFE_MS);
}

/**
 * Whether an error says something about the session. What its caller did (a turn that was stopped, a wrong request, a limit of
 * the turn's own) does not.
 */
export function isOfSession(error: unknown): boolean {
  if (CastellanError.is(error, "TURN_FAILED"))
    return error.details.class !== "request" && error.details.class !== "turn";
  if (CastellanError.is(error, "TURN_INTERRUPTED")) return error.details.exit !== undefined;
  return CastellanError.is(error, "TURN_TIMEOUT") || CastellanError.is(error, "QUEUE_TIMEOUT");
}

/** What has gone wrong with a session's turns, the more so the less time has passed since. Balancers look at it. */
export class RecentErrors {
  readonly #clock: Clock;
  #score: Score = { errors: 0, at: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** About how many there were: one of just now counts 1, one of thirty seconds ago a half. */
  get now(): number {
    return decayed(this.#score, this.#clock.monotonic());
  }

  /** Counts how a turn ends, if it ends badly. */
  watch(result: Promise<unknown>): void {
    result.catch((error: unknown) => {
      if (isOfSession(error)) this.#score = { errors: this.now + 1, at: this.#clock.monotonic() };
    });
  }
}
