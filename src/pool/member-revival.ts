import type { Clock, Timer } from "../clock.ts";

/** The first delay, which doubles with each consecutive restart, and the longest. */
const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** Schedules restarts of a pool's quarantined members, one at a time. The delay starts at a second and doubles each time. */
export class MemberRevival {
  readonly #clock: Clock;
  #pending: { readonly timer: Timer; readonly at: number } | undefined;
  /** The number of consecutive restarts, and the time of the last one on the monotonic clock. */
  #count = 0;
  #lastAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** When the next restart is due, in milliseconds since the epoch; undefined if none is scheduled. */
  get at(): number | undefined {
    return this.#pending?.at;
  }

  /** Schedules a restart, unless one is scheduled. */
  schedule(restart: () => void): void {
    if (this.#pending !== undefined) return;
    const clock = this.#clock;
    // A pool that has been healthy for twice the longest delay starts over with the shortest one.
    if (clock.monotonic() - this.#lastAt > 2 * LONGEST_MS) this.#count = 0;
    const delay = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#count);
    this.#count += 1;
    const again = (): void => {
      this.#pending = undefined;
      this.#lastAt = clock.monotonic();
      restart();
    };
    this.#pending = { timer: clock.schedule(delay, again, { background: true }), at: clock.now() + delay };
  }

  cancel(): void {
    this.#pending?.timer.cancel();
    this.#pending = undefined;
  }
}
