import type { TurnLimiter, TurnScope } from "../capacity/turn-limiter.ts";
import type { Clock, Timer } from "../clock.ts";
import type { TurnShare } from "./protocol/turn-share.ts";

/** How soon to ask again while turns wait that the node may not run, in milliseconds. */
const PACE_MS = 100;

export interface SharedTurnsDeps {
  /** How many turns of global sessions may run on all nodes together. */
  readonly limit: number;
  /** The turns of this node's global sessions. */
  readonly scope: TurnScope;
  readonly limiter: Pick<TurnLimiter, "admit">;
  readonly clock: Clock;
  /** How often to return what the node no longer needs, in milliseconds. */
  readonly beatMs: number;
  /** See `Engine.shareTurns`. */
  share(limit: number, wanted: number, running: number): Promise<TurnShare>;
}

/**
 * A node's share of a limit of running turns for all nodes. It asks for more when turns wait, and returns what it does not need
 * once per beat. While it asks, and while the database does not answer, no further turn begins.
 */
export class SharedTurns {
  readonly #deps: SharedTurnsDeps;
  #held = 0;
  #asking = false;
  /** When it has last got an answer, on the monotonic clock. */
  #askedAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #closed = false;

  constructor(deps: SharedTurnsDeps) {
    this.#deps = deps;
    deps.scope.limit = 0;
    deps.scope.changed = () => this.#schedule();
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#deps.scope.changed = () => {};
  }

  #schedule(): void {
    if (this.#closed || this.#asking) return;
    const { clock, beatMs } = this.#deps;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { running, waiting, limit } = this.#deps.scope;
    const isShort = waiting > 0 && running >= limit;
    // Another node waits for what this one holds beyond its limit.
    const isDue = isShort || (this.#held > limit && running < this.#held);
    if (!isDue && this.#held === 0) return;
    // Counts from the last answer, so that turns that come and go do not put it off.
    const at = this.#askedAt + (isDue ? PACE_MS : beatMs);
    this.#timer = clock.schedule(Math.max(0, at - clock.monotonic()), () => void this.#ask(), { background: true });
  }

  async #ask(): Promise<void> {
    const { scope, limit, limiter, clock } = this.#deps;
    const { running, waiting } = scope;
    this.#asking = true;
    scope.limit = Math.min(scope.limit, running);
    try {
      const share = await this.#deps.share(limit, running + waiting, running);
      this.#held = share.held;
      scope.limit = share.limit;
    } catch {
      // What it holds is unknown, and covers the turns that run.
      this.#held = Math.max(1, running);
    }
    this.#asking = false;
    this.#askedAt = clock.monotonic();
    if (this.#closed) return;
    limiter.admit();
    this.#schedule();
  }
}
