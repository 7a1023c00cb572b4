import type { TurnRecord } from "./turn-record.ts";

/** The turns that a session has accepted and not yet begun, in order. Bounded. */
export class Mailbox {
  /** How many turns may wait. */
  limit: number;
  readonly #turns: TurnRecord[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.#turns.length;
  }

  get full(): boolean {
    return this.#turns.length >= this.limit;
  }

  push(turn: TurnRecord): void {
    this.#turns.push(turn);
  }

  /** Puts a turn that had its turn already before all others. It was accepted before, so the limit does not apply. */
  putBack(turn: TurnRecord): void {
    this.#turns.unshift(turn);
  }

  shift(): TurnRecord | undefined {
    return this.#turns.shift();
  }

  /** Whether the turn was there to be taken out. */
  remove(turn: TurnRecord): boolean {
    const index = this.#turns.indexOf(turn);
    if (index !== -1) this.#turns.splice(index, 1);
    return index !== -1;
  }

  /** The turns that wait, in order. */
  [Symbol.iterator](): IterableIterator<TurnRecord> {
    return this.#turns.values();
  }

  /** Takes all turns out. */
  empty(): TurnRecord[] {
    return this.#turns.splice(0);
  }
}
