/** How many turns may run at a time: of all sessions, and of those that use the same key of the API. */
export interface TurnLimits {
  readonly total?: number | undefined;
  readonly perKey?: number | undefined;
}

/**
 * The line of the sessions that have a turn to run, while as many run as may. A session has one place in it, however many turns
 * it has, and goes to its end for each, so that none keeps the others waiting. One whose key is in full use lets others by.
 */
export class TurnLimiter {
  readonly limits: TurnLimits;
  readonly #queue: TurnPermit[] = [];
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
    return this.#queue.length;
  }

  /** Which limit keeps turns with this key from running, if one does. */
  limitOf(key: string): number | undefined {
    const { total = Number.POSITIVE_INFINITY, perKey = Number.POSITIVE_INFINITY } = this.limits;
    if ((this.#runningOf.get(key) ?? 0) >= perKey) return perKey;
    return this.#running >= total ? total : undefined;
  }

  join(permit: TurnPermit): void {
    this.#queue.push(permit);
    this.#admit();
  }

  leave(permit: TurnPermit): void {
    const index = this.#queue.indexOf(permit);
    if (index !== -1) this.#queue.splice(index, 1);
  }

  done(key: string): void {
    this.#count(key, -1);
    this.#admit();
  }

  /** Those that may, in order. */
  #admit(): void {
    for (const permit of [...this.#queue]) {
      if (this.limitOf(permit.key) !== undefined) continue;
      this.leave(permit);
      this.#count(permit.key, 1);
      permit.admit();
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
export class TurnPermit {
  readonly #limiter: TurnLimiter;
  readonly #keyOf: () => string;
  readonly #admitted: () => void;
  #state: "away" | "waiting" | "running" = "away";
  #key = "";
  #asking = false;

  /** @param keyOf the key of the API that the next turn uses. @param admitted called when a turn may run that could not at once */
  constructor(limiter: TurnLimiter, keyOf: () => string, admitted: () => void) {
    this.#limiter = limiter;
    this.#keyOf = keyOf;
    this.#admitted = admitted;
  }

  /** The key that it waits for, or uses. */
  get key(): string {
    return this.#key;
  }

  /** The limit for which it waits, if it does. */
  get limit(): number | undefined {
    return this.#state === "waiting" ? this.#limiter.limitOf(this.#key) : undefined;
  }

  /** How many turns run beside it. */
  get others(): number {
    return this.#limiter.running;
  }

  /** Whether a turn may run now. If not, it waits in line. */
  take(): boolean {
    if (this.#state === "away") {
      this.#key = this.#keyOf();
      this.#state = "waiting";
      this.#asking = true;
      this.#limiter.join(this);
      this.#asking = false;
    }
    return this.#state === "running";
  }

  /** The turn is over, or none is to run. */
  release(): void {
    const state = this.#state;
    this.#state = "away";
    if (state === "waiting") this.#limiter.leave(this);
    if (state === "running") this.#limiter.done(this.#key);
  }

  /** To be called by the line. */
  admit(): void {
    this.#state = "running";
    // Not in the middle of what another session does.
    if (!this.#asking) queueMicrotask(this.#admitted);
  }
}
