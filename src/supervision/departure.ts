import type { Clock, Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Child, Shutdown } from "./child-spec.ts";

/** Milliseconds that a child which was killed has to be gone. */
const KILL_PATIENCE = 5_000;

/** What an ending came to. `error` is what went wrong, if something did. */
export interface Departed {
  readonly isGone: boolean;
  readonly error?: unknown;
}

/**
 * The ending of one child, from the moment it is asked to stop until it is gone.
 *
 * A child may still be on its way up when it is no longer wanted: then the ending waits for it and stops it as soon
 * as it is there. Every ending is bounded, unless `shutdown` is `infinity`: by the time it allows, then by a few
 * seconds for a kill.
 */
export class Departure {
  /** Resolves when the child is gone, or was not gone long after a kill. Never rejects. */
  readonly done: Promise<Departed>;
  readonly #id: string;
  readonly #clock: Clock;
  readonly #finish: (end: Departed) => void;
  #child: Child | undefined;
  #how: Shutdown;
  #deadline: Timer | undefined;

  /** `arrival` resolves with the child, or with nothing when there will be none. It must not reject. */
  constructor(id: string, arrival: Child | Promise<Child | undefined>, shutdown: Shutdown, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<Departed>();
    this.#id = id;
    this.#clock = clock;
    this.#how = shutdown;
    this.#finish = (end) => {
      this.#deadline?.cancel();
      resolve(end);
    };
    this.done = promise;

    if (shutdown === "brutal_kill") this.#giveUpSoon();
    else if (shutdown !== "infinity") this.#deadline = clock.schedule(shutdown, () => this.kill());
    if ("exited" in arrival) this.#ask(arrival);
    else void arrival.then((child) => (child === undefined ? this.#finish({ isGone: true }) : this.#ask(child)));
  }

  /** No more patience: from now on the child is killed. */
  kill(): void {
    if (this.#how === "brutal_kill") return;
    this.#how = "brutal_kill";
    this.#giveUpSoon();
    if (this.#child !== undefined) this.#ask(this.#child);
  }

  #ask(child: Child): void {
    this.#child = child;
    // Inside an async function, so that a `stop` that throws is treated like one that rejects.
    const stopped = (async () => child.stop(this.#how))();
    stopped.then(
      () => this.#finish({ isGone: true }),
      (error) => this.#finish({ isGone: true, error }),
    );
  }

  #giveUpSoon(): void {
    this.#deadline?.cancel();
    this.#deadline = this.#clock.schedule(KILL_PATIENCE, () => {
      const message = `child ${this.#id} was not gone ${KILL_PATIENCE} ms after it was killed`;
      this.#finish({ isGone: false, error: new CastellanError("CHILD_NOT_GONE", message) });
    });
  }
}
