import type { TurnRecord } from "../streams/turn-record.ts";

/** The accepted turns that have not begun, in order. Bounded. */
export class Mailbox {
  /** How many turns may wait. */
  limit: number;
  readonly #turns: TurnRecord[] = [];
  /** The lowest and highest positions used so far. They only move apart, so that the order survives restarts. */
  #lowest = 0;
  #highest = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.#turns.length;
  }

  /** Whether the mailbox is full, not counting `ahead` turns that are about to leave. */
  full(ahead: number): boolean {
    return this.#turns.length - ahead >= this.limit;
  }

  /** The next turn. */
  get first(): TurnRecord | undefined {
    return this.#turns[0];
  }

  /** The turn that all others precede. Restored ones precede those of this run. */
  get last(): TurnRecord | undefined {
    return this.#turns.at(-1);
  }

  /** Whether turns wait, all of them from an earlier run of the application. */
  get isRestored(): boolean {
    return this.last?.isRestored === true;
  }

  push(turn: TurnRecord): void {
    this.#highest += 1;
    turn.position = this.#highest;
    this.#turns.push(turn);
  }

  /**
   * Restores a turn from before a restart: behind the other restored turns, ahead of all newer ones. The limit does not
   * apply.
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

  /** Puts a turn ahead of all others. The limit does not apply. */
  putFirst(turn: TurnRecord): void {
    this.#lowest -= 1;
    turn.position = this.#lowest;
    this.#turns.unshift(turn);
  }

  shift(): TurnRecord | undefined {
    return this.#turns.shift();
  }

  /** Removes a turn. Returns whether it was in the mailbox. */
  remove(turn: TurnRecord): boolean {
    const index = this.#turns.indexOf(turn);
    if (index !== -1) this.#turns.splice(index, 1);
    return index !== -1;
  }

  /** The waiting turns, in order. */
  [Symbol.iterator](): IterableIterator<TurnRecord> {
    return this.#turns.values();
  }

  /** Removes all turns and returns them. */
  empty(): TurnRecord[] {
    return this.#turns.splice(0);
  }
}
