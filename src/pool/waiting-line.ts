import type { Clock } from "../clock.ts";
import type { Member } from "./member.ts";

/** Who waits for a member. */
export interface Waiter {
  /** Whether it is for a turn of its own, or for as long as it likes. */
  readonly wants: "turn" | "loan";
  readonly key: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The member is its own from now on. */
  grant(member: Member): void;
  /** There is none for it. */
  refuse(error: unknown): void;
  /** Its time is over, or its signal was aborted. */
  late(waiting: number): void;
  cancelled(reason: unknown): void;
}

/** Those who wait for a member, in the order in which they came. Each leaves it exactly once. */
export class WaitingLine {
  readonly #clock: Clock;
  /** Each with what ends its watches. */
  readonly #waiters = new Map<Waiter, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiters.size;
  }

  [Symbol.iterator](): IterableIterator<Waiter> {
    return this.#waiters.keys();
  }

  join(waiter: Waiter): void {
    const { signal, timeoutMs } = waiter;
    const aborted = (): void => {
      if (this.leave(waiter)) waiter.cancelled(signal?.reason);
    };
    const timer = this.#clock.schedule(timeoutMs, () => {
      const waiting = this.length;
      if (this.leave(waiter)) waiter.late(waiting);
    });
    signal?.addEventListener("abort", aborted, { once: true });
    this.#waiters.set(waiter, () => {
      timer.cancel();
      signal?.removeEventListener("abort", aborted);
    });
  }

  /** Whether it was still there. */
  leave(waiter: Waiter): boolean {
    this.#waiters.get(waiter)?.();
    return this.#waiters.delete(waiter);
  }

  /** Nobody gets one any more. */
  refuseAll(error: unknown): void {
    for (const waiter of [...this]) if (this.leave(waiter)) waiter.refuse(error);
  }
}
