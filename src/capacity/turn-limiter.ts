import { WaitingLine } from "./waiting-line.ts";

/** The maximum number of concurrent turns: of all sessions, and of those that use the same API key. */
export interface TurnLimits {
  readonly total?: number | undefined;
  readonly perKey?: number | undefined;
}

/** Sessions that have a limit of their own within a {@link TurnLimiter}, such as those of a cluster. */
export class TurnScope {
  /** How many of their turns may run. */
  limit: number = Number.POSITIVE_INFINITY;
  /** The limit that `limit` is a share of, for messages. */
  whole: number | undefined;
  running = 0;
  waiting = 0;
  /** Called after a turn has begun to wait, or has ended. */
  changed: () => void = () => {};
}

/** The part of a {@link TurnLimiter} that a session uses. */
export type TurnLine = Pick<TurnLimiter, "limits" | "running" | "waiting" | "limitOf" | "join" | "leave" | "done"> & {
  readonly scope?: TurnScope;
};

/**
 * Limits how many turns run. Sessions wait in a {@link WaitingLine}, each with one permit regardless of its number of turns, and go
 * back to its end after each turn, so none starves the others. A session whose key is at its limit is skipped.
 */
export class TurnLimiter {
  readonly limits: TurnLimits;
  readonly #line = new WaitingLine<TurnPermit>(({ resumes }) => resumes);
  readonly #runningOf = new Map<string, number>();
  #running = 0;

  constructor(limits: TurnLimits = {}) {
    this.limits = limits;
  }

  /** The number of running turns. */
  get running(): number {
    return this.#running;
  }

  /** The number of waiting sessions. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Returns the limiter for sessions that also have the limit of `scope`. */
  within(scope: TurnScope): TurnLine {
    return {
      scope,
      limits: this.limits,
      get running() {
        return scope.running;
      },
      get waiting() {
        return scope.waiting;
      },
      limitOf: (key) => this.limitOf(key, scope),
      join: (permit) => this.join(permit),
      leave: (permit) => this.leave(permit),
      done: (key) => this.done(key, scope),
    };
  }

  /** Admits turns that may run now: a scope's limit has risen. */
  admit(): void {
    this.#admit();
  }

  /** Returns the limit that keeps turns with this key from running, or undefined. */
  limitOf(key: string, scope?: TurnScope): number | undefined {
    if (scope !== undefined && scope.running >= scope.limit) return scope.whole ?? scope.limit;
    const { total = Number.POSITIVE_INFINITY, perKey = Number.POSITIVE_INFINITY } = this.limits;
    if ((this.#runningOf.get(key) ?? 0) >= perKey) return perKey;
    return this.#running >= total ? total : undefined;
  }

  join(permit: TurnPermit): void {
    const { scope } = permit;
    this.#line.join(permit);
    if (scope !== undefined) scope.waiting += 1;
    this.#admit();
    scope?.changed();
  }

  leave(permit: TurnPermit): void {
    this.#line.leave(permit);
    if (permit.scope !== undefined) permit.scope.waiting -= 1;
  }

  done(key: string, scope?: TurnScope): void {
    this.#count(key, scope, -1);
    this.#admit();
    scope?.changed();
  }

  /** Admits the waiting sessions that may run, in order. */
  #admit(): void {
    for (;;) {
      const permit = this.#line.next(({ key, scope }) => this.limitOf(key, scope) === undefined);
      if (permit === undefined) return;
      if (permit.scope !== undefined) permit.scope.waiting -= 1;
      this.#count(permit.key, permit.scope, 1);
      permit.admit();
    }
  }

  #count(key: string, scope: TurnScope | undefined, by: number): void {
    this.#running += by;
    if (scope !== undefined) scope.running += by;
    const running = (this.#runningOf.get(key) ?? 0) + by;
    if (running === 0) this.#runningOf.delete(key);
    else this.#runningOf.set(key, running);
  }
}

/** What a permit asks its session. */
export interface PermitHolder {
  /** The API key of the next turn. */
  readonly key: string;
  /** Whether only turns of an earlier run of the application wait, for which nobody waits. */
  readonly resumes: boolean;
  /** Takes the news that a turn that had to wait may run. */
  admitted(): void;
}

/** A session's permit to run a turn. */
export class TurnPermit {
  readonly #limiter: TurnLine;
  readonly #session: PermitHolder;
  #state: "away" | "waiting" | "running" = "away";
  #key = "";
  #asking = false;

  constructor(limiter: TurnLine, session: PermitHolder) {
    this.#limiter = limiter;
    this.#session = session;
  }

  /** The limit of its kind of sessions, if there is one. */
  get scope(): TurnScope | undefined {
    return this.#limiter.scope;
  }

  /** Whether the next turn is one of an earlier run of the application. */
  get resumes(): boolean {
    return this.#session.resumes;
  }

  /** The API key that it waits for or uses. */
  get key(): string {
    return this.#key;
  }

  /** The limit that it waits for, or undefined if it does not wait. */
  get limit(): number | undefined {
    return this.#state === "waiting" ? this.#limiter.limitOf(this.#key) : undefined;
  }

  /** The number of running turns of all sessions. */
  get others(): number {
    return this.#limiter.running;
  }

  /** Whether a turn may run now. If not, the permit waits in the queue. */
  take(): boolean {
    if (this.#state === "away") {
      this.#key = this.#session.key;
      this.#state = "waiting";
      this.#asking = true;
      this.#limiter.join(this);
      this.#asking = false;
    }
    return this.#state === "running";
  }

  /** Releases the permit: the turn has ended, or none is due. */
  release(): void {
    const state = this.#state;
    this.#state = "away";
    if (state === "waiting") this.#limiter.leave(this);
    if (state === "running") this.#limiter.done(this.#key);
  }

  /** Called by the limiter. */
  admit(): void {
    this.#state = "running";
    // Deferred, so that it does not run in the middle of another session's work.
    if (!this.#asking) queueMicrotask(() => this.#session.admitted());
  }
}
