import type { Clock, Timer } from "../../clock.ts";

/** How long it is kept, in milliseconds: longer than an owner takes to hand its journal over. */
const KEPT_MS = 30_000;

/** What an attempt to open a journal has started and another application's claim has refused, kept for the next attempt. */
export class KeptStart<Started> {
  readonly #clock: Clock;
  readonly #end: (started: Started) => Promise<unknown>;
  #kept: { readonly started: Started; readonly timer: Timer } | undefined;

  /** @param end ends what nobody has taken in time */
  constructor(clock: Clock, end: (started: Started) => Promise<unknown>) {
    this.#clock = clock;
    this.#end = end;
  }

  /** Keeps it, and ends what another attempt at the same time has left. */
  keep(started: Started): void {
    const end = (): void => void this.drop().catch(() => {});
    end();
    const timer = this.#clock.schedule(KEPT_MS, end, { background: true });
    this.#kept = { started, timer };
  }

  take(): Started | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    kept?.timer.cancel();
    return kept?.started;
  }

  /** Ends it, if it is kept. */
  async drop(): Promise<void> {
    const started = this.take();
    if (started !== undefined) await this.#end(started);
  }
}
