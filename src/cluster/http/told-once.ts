import type { Clock } from "../../clock.ts";

/** How long a message about the same thing is not told again, in milliseconds, and about how many things one may be. */
const AGAIN_MS = 60_000;
const MOST = 100;

/** Passes messages on, each at most once a minute, so that a peer cannot fill the log. */
export class ToldOnce {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #tell: (message: string) => void;
  /** When each thing was last told, the oldest first. */
  readonly #told = new Map<string, number>();

  constructor(clock: Pick<Clock, "monotonic">, tell: (message: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** @param about identifies what the message is about */
  tell(about: string, message: string): void {
    const now = this.#clock.monotonic();
    for (const [old, at] of this.#told) {
      if (now - at < AGAIN_MS) break;
      this.#told.delete(old);
    }
    if (this.#told.has(about) || this.#told.size >= MOST) return;
    this.#told.set(about, now);
    this.#tell(message);
  }
}
