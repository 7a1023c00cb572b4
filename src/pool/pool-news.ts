import type { Clock } from "../clock.ts";
import { type BorrowerFacts, type CastellanEvents, type PoolFacts, tell } from "../events.ts";
import type { Member } from "./member.ts";
import type { Leaving, Waiter } from "./wait-queue.ts";

/** Why a member is given back, and why a pool has one no longer. */
export type GivenBack = CastellanEvents["castellan:pool:checkin"]["why"];
export type Removed = CastellanEvents["castellan:pool:remove"]["why"];

/** A member that is one borrower's. */
interface Lending {
  readonly facts: BorrowerFacts;
  readonly since: number;
}

/** Tells what happens in a pool, and sees to it that each checkout has one checkin. */
export class PoolNews {
  readonly #pool: string;
  readonly #clock: Clock;
  readonly #supervisor: string;
  readonly #lendings = new Map<Member, Lending>();

  constructor(pool: string, supervisor: string, clock: Clock) {
    this.#pool = pool;
    this.#supervisor = supervisor;
    this.#clock = clock;
  }

  added(member: Member): void {
    tell("castellan:pool:add", () => ({ ...this.#facts, member: member.name }));
  }

  removed(member: Member, why: Removed): void {
    tell("castellan:pool:remove", () => ({ ...this.#facts, member: member.name, why }));
  }

  waits(waiter: Waiter): void {
    tell("castellan:pool:wait", () => this.#of(waiter));
  }

  left(waiter: Waiter, waitedMs: number, as: Leaving): void {
    tell("castellan:pool:leave", () => ({ ...this.#of(waiter), waitedMs, granted: as === "granted" }));
    if (as === "exhausted") tell("castellan:pool:exhausted", () => ({ ...this.#of(waiter), waitedMs }));
  }

  lent(member: Member, waiter: Waiter, waitedMs: number): void {
    const facts = this.#of(waiter);
    this.#lendings.set(member, { facts, since: this.#clock.monotonic() });
    tell("castellan:pool:checkout", () => ({ ...facts, member: member.name, waitedMs }));
  }

  givenBack(member: Member, why: GivenBack): void {
    const lending = this.#lendings.get(member);
    if (lending === undefined) return;
    this.#lendings.delete(member);
    const { facts, since } = lending;
    const heldMs = this.#clock.monotonic() - since;
    tell("castellan:pool:checkin", () => ({ ...facts, member: member.name, heldMs, why }));
  }

  /** The pool lends nothing any more. A loan of a supervisor that drains goes on until its session has stopped. */
  closed(draining: boolean): void {
    for (const member of [...this.#lendings.keys()]) {
      if (!draining || member.server.state.name === "stopped") this.givenBack(member, "pool_closed");
    }
  }

  get #facts(): PoolFacts {
    return { pool: this.#pool, supervisor: this.#supervisor };
  }

  #of({ id, wants }: Waiter): BorrowerFacts {
    return { ...this.#facts, id, wants };
  }
}
