import type { Clock } from "../clock.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import type { FarTurn } from "../session/streams/far-turn.ts";
import type { Member } from "./member.ts";

/** What needs a member. */
export interface Borrower {
  /** The id of its turn; for a loan, an id of its own. */
  readonly id: string;
  /** Whether it needs a member for one turn, for a job or for a loan. */
  readonly wants: "turn" | "job" | "loan";
  /** By which the balancer may pick a member. */
  readonly key: string | undefined;
}

/** A caller that waits for a member. */
export interface Waiter extends Borrower {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Gives it a member. */
  grant(member: Member): void;
  /** Starts its turn in another process. Left out if it needs a member here. */
  start?(far: (prompt: Prompt, options: TurnOptions) => FarTurn): void;
  /** Rejects it. */
  refuse(error: unknown): void;
  /** Cancels it: its signal was aborted, or it was withdrawn. */
  cancelled(reason: unknown): void;
}

/** Why a caller leaves the queue. */
export type LeaveReason = "granted" | "exhausted" | "cancelled" | "refused";

/** Callbacks of a queue to its pool. */
export interface WaitQueueEvents {
  /** A caller has left the queue after waiting for `waitedMs`. */
  left(waiter: Waiter, waitedMs: number, as: LeaveReason): void;
  /** A caller's timeout has expired while `waiting` callers, including itself, were waiting. */
  timedOut(waiter: Waiter, waiting: number): void;
}

/** The callers that wait for a member, in the order of their calls. Each leaves exactly once. */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #events: WaitQueueEvents;
  /** Each caller with the start of its wait, and a function that stops its timer and signal listener. */
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

  /** Returns how long a caller has waited; undefined if it is not in the queue. */
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
      if (this.leave(waiter, "exhausted")) this.#events.timedOut(waiter, waiting);
    });
    signal?.addEventListener("abort", aborted, { once: true });
    const unwatch = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", aborted);
    };
    this.#waiters.set(waiter, { since: this.#clock.monotonic(), unwatch });
  }

  /** Removes a caller. Returns whether it was still in the queue. */
  leave(waiter: Waiter, as: LeaveReason): boolean {
    const waitedMs = this.waitedMs(waiter);
    if (waitedMs === undefined) return false;
    this.#waiters.get(waiter)?.unwatch();
    this.#waiters.delete(waiter);
    this.#events.left(waiter, waitedMs, as);
    return true;
  }

  /** Rejects all waiting callers. */
  refuseAll(error: unknown, as: LeaveReason): void {
    for (const waiter of [...this]) if (this.leave(waiter, as)) waiter.refuse(error);
  }
}
