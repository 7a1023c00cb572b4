import type { Clock, Timer } from "../../clock.ts";
import { SparseMap } from "../../sparse-map.ts";
import { charactersIn } from "../options/prompt-blocks.ts";
import type { TurnRecord } from "../streams/turn-record.ts";

/**
 * How many ended turns to keep for readers, how many of their events and characters in total, prompts included, and for
 * how long.
 */
const MOST_TURNS = 16;
const MOST_EVENTS = 5_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;
const KEPT_MS = 120_000;

interface EndedTurn {
  readonly turn: TurnRecord;
  readonly at: number;
}

const NONE: readonly never[] = [];

/**
 * A session's turns by id: all that wait or run, and the most recent ended ones, so that a reader that lost its
 * connection can attach again.
 */
export class KeptTurns {
  readonly #clock: Clock;
  readonly #turns = new SparseMap<string, TurnRecord>();
  /** The ended turns, oldest first. */
  #ended: readonly EndedTurn[] = NONE;
  /** The total number of their events. */
  #events = 0;
  #characters = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(turn: TurnRecord): void {
    this.#turns.set(turn.id, turn);
    const ended = (): void => this.#onEnd(turn);
    turn.result.then(ended, ended);
  }

  /** Forgets the turn entirely. */
  forget(turn: TurnRecord): void {
    if (this.#turns.get(turn.id) === turn) this.#turns.delete(turn.id);
  }

  /** Forgets all turns. */
  clear(): void {
    this.#timer?.cancel();
    this.#ended = NONE;
    this.#events = 0;
    this.#characters = 0;
    this.#turns.clear();
  }

  find(id: string): TurnRecord | undefined {
    return this.#turns.get(id);
  }

  #onEnd(turn: TurnRecord): void {
    this.#ended = [...this.#ended, { turn, at: this.#clock.monotonic() }];
    this.#events += turn.log.length;
    this.#characters += charactersOf(turn);
    while (this.#ended.length > 1 && this.#tooMany) this.#dropOldest();
    this.#watch();
  }

  get #tooMany(): boolean {
    return this.#ended.length > MOST_TURNS || this.#events > MOST_EVENTS || this.#characters > MOST_CHARACTERS;
  }

  /** One timer for the oldest turn serves all. */
  #watch(): void {
    const [oldest] = this.#ended;
    if (oldest === undefined || this.#timer !== undefined) return;
    const age = this.#clock.monotonic() - oldest.at;
    const drop = (): void => {
      this.#timer = undefined;
      const due = this.#clock.monotonic() - KEPT_MS;
      while (this.#ended[0] !== undefined && this.#ended[0].at <= due) this.#dropOldest();
      this.#watch();
    };
    this.#timer = this.#clock.schedule(Math.max(0, KEPT_MS - age), drop, { background: true });
  }

  #dropOldest(): void {
    const [oldest, ...others] = this.#ended;
    if (oldest === undefined) return;
    const { turn } = oldest;
    this.#ended = others.length === 0 ? NONE : others;
    this.#events -= turn.log.length;
    this.#characters -= charactersOf(turn);
    this.forget(turn);
  }
}

function charactersOf({ log, prompt, promptBlocks }: TurnRecord): number {
  return log.characters + (promptBlocks === undefined ? prompt.length : charactersIn(promptBlocks));
}
