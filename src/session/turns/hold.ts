import { type Clock, scheduleUntil, type Timer } from "../../clock.ts";
import { backoffDelay } from "../../supervision/backoff.ts";
import type { TurnHold } from "../status/session-state.ts";

/** An API that has too much to do is left alone for a second, then twice as long each time, up to five minutes. */
const OVERLOAD = { base: 1_000, factor: 2, max: 300_000, jitter: 0.2 };

/** Whether an account can pay again is tried with a turn that waits: after fifteen seconds, then after twice as long each time. */
const BILLING = { base: 15_000, factor: 2, max: 300_000, jitter: 0.2 };

/**
 * Holds back turns while the API takes none: until a limit of use is lifted, or for a growing time after each overload, and after
 * each answer that the account cannot pay.
 */
export class Hold {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #released: () => void;
  #current: TurnHold | undefined;
  #timer: Timer | undefined;
  #overloads = 0;
  #unpaid = 0;
  /** When turns were held back last, or could have been before the application was started, on the clock that is never set. */
  #heldUntil: number;
  #closed = false;

  /** `released` is called when a hold has passed. */
  constructor(clock: Clock, random: () => number, released: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#released = released;
    this.#heldUntil = clock.monotonic();
  }

  get current(): TurnHold | undefined {
    return this.#current;
  }

  /** A limit of use is reached. Where it should be lifted by now, and is not, nobody knows when it will be. */
  forQuota(until: number): void {
    if (until > this.#clock.now()) this.#set({ for: "quota", until });
    else this.forOverload();
  }

  /** The account cannot pay. A limit of use that is known says more. */
  forBilling(): void {
    this.#unpaid++;
    if (this.#current?.for === "quota") return;
    this.#set({ for: "billing", until: this.#clock.now() + backoffDelay(this.#unpaid + 1, BILLING, this.#random) });
  }

  /**
   * Whether a turn that was accepted then, on the clock that is never set, has waited until now because turns were held back, or since
   * before the application was started.
   */
  hasHeld(since: number): boolean {
    return since < this.#heldUntil;
  }

  /** The API has too much to do. A limit of use that is known says more. */
  forOverload(): void {
    this.#overloads++;
    if (this.#current !== undefined) return;
    this.#set({
      for: "overload",
      until: this.#clock.now() + backoffDelay(this.#overloads + 1, OVERLOAD, this.#random),
    });
  }

  /** The API answers: whatever was held back for need not be. */
  succeeded(): void {
    this.#overloads = 0;
    this.#unpaid = 0;
    this.#timer?.cancel();
    this.#current = undefined;
  }

  /** Holds nothing back any more, and never will. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#current = undefined;
  }

  /** May hold back again. */
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
      this.#released();
    };
    // Turns that wait keep the host alive by their own timers.
    this.#timer = scheduleUntil(this.#clock, hold.until, release, { background: true });
  }
}
