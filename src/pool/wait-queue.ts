import type { Clock } from "../clock.ts";
import type { Member } from "./member.ts";

/** Who waits for a member. */
export interface Waiter {
  /** Of its turn, or, if it wants a loan, one of its own. */
  readonly id: string;
  /** Whether it is for a turn of its own, or for as long as it likes. */
  readonly wants: "turn" | "loan";
  readonly key: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The member is its own from now on. */
  grant(member: Member): void;
  /** There is none for it. */
  refuse(error: unknown): void;
  /** Its signal was aborted, or it was taken out. */
  cancelled(reason: unknown): void;
}

/** With what somebody leaves the line. */
export type Leaving = "granted" | "exhausted" | "cancelled" | "refused";

/** What a line tells its pool. */
export interface WaitQueueEvents {
  /** Somebody has left it, having been in it for so long. */
  left(waiter: Waiter, waitedMs: number, as: Leaving): void;
  /** Somebody's time is over, when as many waited as this. */
  late(waiter: Waiter, waiting: number): void;
}

/** Those who wait for a member, in the order in which they came. Each leaves it exactly once. */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #events: WaitQueueEvents;
  /** Each with since when it is here, and what ends its watches. */
  readonly #waiters = new Map<Waiter, { readonly since: number; readonly unwatch: () => void }>();

  constructor(clock: Clock, events: WaitQueueEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  get length(): number {
    return this.#waiters.size;
  }

  [Symbol.iterator](): IterableIterator<Waiter> {
    return this.#waiters.keys();
  }

  /** How long it has been here; `undefined` if it is not. */
  waitedMs(waiter: Waiter): number | undefined {
    const entry = this.#waiters.get(waiter);
    return entry === undefined ? undefined : this.#clock.monotonic() - entry.since;
  }

  join(waiter: Waiter): void {
    const { signal, timeoutMs } = waiter;
    const aborted = (): void => {
      if (this.leave(waiter, "cancelled")) waiter.cancelled(signal?.reason);
    };
    const timer = this.#clock.schedule(timeoutMs, () => {
      const waiting = this.length;
      if (this.leave(waiter, "exhausted")) this.#events.late(waiter, waiting);
    });
    signal?.addEventListener("abort", aborted, { once: true });
    const unwatch = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", aborted);
    };
    this.#waiters.set(waiter, { since: this.#clock.monotonic(), unwatch });
  }

  /** Whether it was still there. */
  leave(waiter: Waiter, as: Leaving): boolean {
    const waitedMs = this.waitedMs(waiter);
    if (waitedMs === undefined) return false;
    this.#waiters.get(waiter)?.unwatch();
    this.#waiters.delete(waiter);
    this.#events.left(waiter, waitedMs, as);
    return true;
  }

  /** Nobody gets one any more. */
  refuseAll(error: unknown, as: Leaving): void {
    for (const waiter of [...this]) if (this.leave(waiter, as)) waiter.refuse(error);
  }
}
