import type { TurnRecord } from "../streams/turn-record.ts";

/** The turns that a session has accepted and not yet begun, in order. Bounded. */
export class Mailbox {
  /** How many turns may wait. */
  limit: number;
  readonly #turns: TurnRecord[] = [];
  /** The lowest and the highest position that was given. They never come together again, so that order holds over restarts. */
  #lowest = 0;
  #highest = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.#turns.length;
  }

  /** Whether there is no room, `ahead` of the turns that wait not counted: they are about to leave. */
  full(ahead: number): boolean {
    return this.#turns.length - ahead >= this.limit;
  }

  /** The turn that is next. */
  get first(): TurnRecord | undefined {
    return this.#turns[0];
  }

  push(turn: TurnRecord): void {
    this.#highest += 1;
    turn.position = this.#highest;
    this.#turns.push(turn);
  }

  /**
   * Puts a turn back that waited before the application was restarted, behind those that did too, and before all that have
   * been asked for since; the limit does not apply.
   */
  restore(turn: TurnRecord): void {
    const since = this.#turns.findIndex(({ state }) => state === "accepted");
    const at = since === -1 ? this.#turns.length : since;
    this.#turns.splice(at, 0, turn);
    this.#lowest = Math.min(this.#lowest, turn.position);
    this.#highest = Math.max(this.#highest, turn.position);
    for (const later of this.#turns.slice(at + 1)) {
      this.#highest += 1;
      later.position = this.#highest;
    }
  }

  /** Puts a turn before all others; the limit does not apply. */
  putFirst(turn: TurnRecord): void {
    this.#lowest -= 1;
    turn.position = this.#lowest;
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
