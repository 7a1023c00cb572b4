import type { Clock, Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Child, Shutdown } from "./child-spec.ts";

/** Milliseconds from the kill of a child until the supervisor gives up on it. */
const KILL_PATIENCE = 5_000;

/** The result of a termination; `error` if something failed. */
export interface TerminationResult {
  readonly isGone: boolean;
  readonly error?: unknown;
}

/**
 * Stops one child, from the first call of its `stop` until it is gone.
 *
 * If the child is still starting, the termination stops it as soon as it runs. Unless `shutdown` is `infinity`, every termination is
 * bounded: by the time in `shutdown`, then by a few seconds after a kill.
 */
export class ChildTermination {
  /** Resolves when the child is gone, or has outlived its kill. Never rejects. */
  readonly done: Promise<TerminationResult>;
  readonly #id: string;
  readonly #clock: Clock;
  readonly #finish: (result: TerminationResult) => void;
  #child: Child | undefined;
  #how: Shutdown;
  #deadline: Timer | undefined;

  /** `started` resolves with the child, or with `undefined` if its start failed. It must not reject. */
  constructor(id: string, started: Child | Promise<Child | undefined>, shutdown: Shutdown, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<TerminationResult>();
    this.#id = id;
    this.#clock = clock;
    this.#how = shutdown;
    this.#finish = (result) => {
      this.#deadline?.cancel();
      resolve(result);
    };
    this.done = promise;

    if (shutdown === "brutal_kill") this.#giveUpSoon();
    else if (shutdown !== "infinity") this.#deadline = clock.schedule(shutdown, () => this.kill());
    if ("exited" in started) this.#stop(started);
    else void started.then((child) => (child === undefined ? this.#finish({ isGone: true }) : this.#stop(child)));
  }

  /** Kills the child now. */
  kill(): void {
    if (this.#how === "brutal_kill") return;
    this.#how = "brutal_kill";
    this.#giveUpSoon();
    if (this.#child !== undefined) this.#stop(this.#child);
  }

  #stop(child: Child): void {
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
      const message = `child ${this.#id} still ran ${KILL_PATIENCE} ms after it was killed`;
      this.#finish({ isGone: false, error: new CastellanError("CHILD_NOT_GONE", message) });
    });
  }
}
