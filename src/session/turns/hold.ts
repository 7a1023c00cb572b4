import { type Clock, scheduleUntil, type Timer } from "../../clock.ts";
import { backoffDelay } from "../../supervision/backoff.ts";
import type { Signal } from "../context/session-signal.ts";
import type { TurnHold } from "../status/session-state.ts";

/** Back-off for an overloaded API: one second, doubling up to five minutes. */
const OVERLOAD = { base: 1_000, factor: 2, max: 300_000, jitter: 0.2 };

/** Back-off for an unpaid account, which a waiting turn then probes: fifteen seconds, doubling up to five minutes. */
const BILLING = { base: 15_000, factor: 2, max: 300_000, jitter: 0.2 };

/**
 * Holds turns back while the API accepts none: until a usage limit is lifted, or with back-off after an overload or a
 * billing error.
 */
export class Hold {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #signal: Signal;
  #current: TurnHold | undefined;
  #timer: Timer | undefined;
  #overloads = 0;
  #unpaid = 0;
  /** When the last hold expired, or when this application started, on the monotonic clock. */
  #heldUntil: number;
  #closed = false;

  constructor(clock: Clock, random: () => number, signal: Signal) {
    this.#clock = clock;
    this.#random = random;
    this.#signal = signal;
    this.#heldUntil = clock.monotonic();
  }

  get current(): TurnHold | undefined {
    return this.#current;
  }

  /**
   * Holds until a usage limit is lifted. If that time has passed, the end is unknown, so it backs off as for an
   * overload.
   */
  forQuota(until: number): void {
    if (until > this.#clock.now()) this.#set({ for: "quota", until });
    else this.forOverload();
  }

  /** Holds because the account cannot pay. A known usage limit takes precedence. */
  forBilling(): void {
    this.#unpaid++;
    if (this.#current?.for === "quota") return;
    this.#set({ for: "billing", until: this.#clock.now() + backoffDelay(this.#unpaid + 1, BILLING, this.#random) });
  }

  /**
   * Whether a turn accepted at `since`, on the monotonic clock, waited during a hold, or was accepted before the
   * application started.
   */
  hasHeld(since: number): boolean {
    return since < this.#heldUntil;
  }

  /** Holds because the API is overloaded. An existing hold takes precedence. */
  forOverload(): void {
    this.#overloads++;
    if (this.#current !== undefined) return;
    this.#set({
      for: "overload",
      until: this.#clock.now() + backoffDelay(this.#overloads + 1, OVERLOAD, this.#random),
    });
  }

  /** Ends the hold, because the API answered. */
  succeeded(): void {
    this.#overloads = 0;
    this.#unpaid = 0;
    this.#timer?.cancel();
    this.#current = undefined;
  }

  /** Ends the hold and ignores further ones. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#current = undefined;
  }

  /** Accepts holds again. */
  reopen(): void {
    this.#closed = false;
  }

  #set(hold: TurnHold): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#current = hold;
    const release = (): void => {
      this.#current = undefined;
      this.#heldUntil = this.#clock.monotonic();
      this.#signal({ type: "held" });
      this.#signal({ type: "next" });
    };
    // The waiting turns' own timers keep the host alive.
    this.#timer = scheduleUntil(this.#clock, hold.until, release, { background: true });
  }
}
