import type { Clock } from "../clock.ts";
import { type BorrowerFacts, type CastellanEvents, type PoolFacts, publish } from "../events.ts";
import type { Member } from "./member.ts";
import type { Borrower, LeaveReason, Waiter } from "./wait-queue.ts";

/** Why a member is checked in, and why a pool no longer has one. */
export type CheckinReason = CastellanEvents["castellan:pool:checkin"]["why"];
export type RemovalReason = CastellanEvents["castellan:pool:remove"]["why"];

/** A member that is lent to one borrower. */
interface Loaned {
  readonly facts: BorrowerFacts;
  readonly since: number;
}

/** Publishes the events of a pool, with exactly one checkin for each checkout. */
export class PoolEvents {
  readonly #pool: string;
  readonly #clock: Clock;
  readonly #supervisor: string;
  readonly #lent = new Map<Member, Loaned>();

  constructor(pool: string, supervisor: string, clock: Clock) {
    this.#pool = pool;
    this.#supervisor = supervisor;
    this.#clock = clock;
  }

  added(member: Member): void {
    publish("castellan:pool:add", () => ({ ...this.#facts, member: member.name }));
  }

  removed(member: Member, why: RemovalReason): void {
    publish("castellan:pool:remove", () => ({ ...this.#facts, member: member.name, why }));
  }

  waits(waiter: Waiter): void {
    publish("castellan:pool:wait", () => this.#of(waiter));
  }

  left(waiter: Waiter, waitedMs: number, as: LeaveReason): void {
    publish("castellan:pool:leave", () => ({ ...this.#of(waiter), waitedMs, granted: as === "granted" }));
    if (as === "exhausted") publish("castellan:pool:exhausted", () => ({ ...this.#of(waiter), waitedMs }));
  }

  lent(member: Member, waiter: Borrower, waitedMs: number): void {
    const facts = this.#of(waiter);
    this.#lent.set(member, { facts, since: this.#clock.monotonic() });
    publish("castellan:pool:checkout", () => ({ ...facts, member: member.name, waitedMs }));
  }

  givenBack(member: Member, why: CheckinReason): void {
    const loaned = this.#lent.get(member);
    if (loaned === undefined) return;
    this.#lent.delete(member);
    const { facts, since } = loaned;
    const heldMs = this.#clock.monotonic() - since;
    publish("castellan:pool:checkin", () => ({ ...facts, member: member.name, heldMs, why }));
  }

  /**
   * Checks in all lent members of a closed pool. While the supervisor drains, a loan stays until its session has
   * stopped.
   */
  closed(draining: boolean): void {
    for (const member of [...this.#lent.keys()]) {
      if (!draining || member.server.state.name === "stopped") this.givenBack(member, "pool_closed");
    }
  }

  get #facts(): PoolFacts {
    return { pool: this.#pool, supervisor: this.#supervisor };
  }

  #of({ id, wants }: Borrower): BorrowerFacts {
    return { ...this.#facts, id, wants };
  }
}
