/** How many turns may run at a time: of all sessions, and of those that use the same key of the API. */
export interface TurnLimits {
  readonly total?: number | undefined;
  readonly perKey?: number | undefined;
}

/**
 * The line of the sessions that have a turn to run, while as many run as may. A session has one place in it, however many turns
 * it has, and goes to its end for each, so that none keeps the others waiting. One whose key is in full use lets others by.
 */
export class TurnLine {
  readonly limits: TurnLimits;
  readonly #line: TurnPlace[] = [];
  readonly #runningOf = new Map<string, number>();
  #running = 0;

  constructor(limits: TurnLimits = {}) {
    this.limits = limits;
  }

  /** How many turns run. */
  get running(): number {
    return this.#running;
  }

  /** How many sessions wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Which limit keeps turns with this key from running, if one does. */
  limitOf(key: string): number | undefined {
    const { total = Number.POSITIVE_INFINITY, perKey = Number.POSITIVE_INFINITY } = this.limits;
    if ((this.#runningOf.get(key) ?? 0) >= perKey) return perKey;
    return this.#running >= total ? total : undefined;
  }

  join(place: TurnPlace): void {
    this.#line.push(place);
    this.#admit();
  }

  leave(place: TurnPlace): void {
    const index = this.#line.indexOf(place);
    if (index !== -1) this.#line.splice(index, 1);
  }

  done(key: string): void {
    this.#count(key, -1);
    this.#admit();
  }

  /** Those that may, in order. */
  #admit(): void {
    for (const place of [...this.#line]) {
      if (this.limitOf(place.key) !== undefined) continue;
      this.leave(place);
      this.#count(place.key, 1);
      place.admit();
    }
  }

  #count(key: string, by: number): void {
    this.#running += by;
    const running = (this.#runningOf.get(key) ?? 0) + by;
    if (running === 0) this.#runningOf.delete(key);
    else this.#runningOf.set(key, running);
  }
}

/** The place of a session in the line. */
export class TurnPlace {
  readonly #line: TurnLine;
  readonly #keyOf: () => string;
  readonly #admitted: () => void;
  #state: "away" | "waiting" | "running" = "away";
  #key = "";
  #asking = false;

  /** @param keyOf the key of the API that the next turn uses. @param admitted called when a turn may run that could not at once */
  constructor(line: TurnLine, keyOf: () => string, admitted: () => void) {
    this.#line = line;
    this.#keyOf = keyOf;
    this.#admitted = admitted;
  }

  /** The key that it waits for, or uses. */
  get key(): string {
    return this.#key;
  }

  /** The limit for which it waits, if it does. */
  get limit(): number | undefined {
    return this.#state === "waiting" ? this.#line.limitOf(this.#key) : undefined;
  }

  /** How many turns run beside it. */
  get others(): number {
    return this.#line.running;
  }

  /** Whether a turn may run now. If not, it waits in line. */
  take(): boolean {
    if (this.#state === "away") {
      this.#key = this.#keyOf();
      this.#state = "waiting";
      this.#asking = true;
      this.#line.join(this);
      this.#asking = false;
    }
    return this.#state === "running";
  }

  /** The turn is over, or none is to run. */
  release(): void {
    const state = this.#state;
    this.#state = "away";
    if (state === "waiting") this.#line.leave(this);
    if (state === "running") this.#line.done(this.#key);
  }

  /** To be called by the line. */
  admit(): void {
    this.#state = "running";
    // Not in the middle of what another session does.
    if (!this.#asking) queueMicrotask(this.#admitted);
  }
}
