import type { Clock } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { reasonOf } from "../supervision/child-spec.ts";
import type { Branch } from "./branch.ts";
import { type ChildStanding, lackOf, standingsOf, startError } from "./child-standing.ts";
import type { NotStarted } from "./supervisor-reports.ts";

/** Waits for the workers and supervisors of a tree to come up, or to be given up on. */
export class Arrivals {
  readonly #root: Branch;
  readonly #clock: Clock;
  /** Those that the tree has forgotten, since their only start failed. */
  readonly #forgotten: NotStarted[] = [];
  #waiting: (() => void) | undefined;

  constructor(root: Branch, clock: Clock) {
    this.#root = root;
    this.#clock = clock;
  }

  /** Something has happened in the tree. */
  seen(): void {
    this.#waiting?.();
  }

  /** The only start of a child has failed. */
  forgotten(id: string, who: string, cause: unknown): void {
    const error = startError(`${who} did not come up, and has but one start: ${reasonOf(cause)}.`, cause);
    this.#forgotten.push({ name: id, error });
  }

  /**
   * Resolves with those that do not come up, when each is up or will not be; with `first`, as soon as one will not. After `limitMs`
   * those that are still on their way count, too.
   */
  async failures(first: boolean, limitMs: number): Promise<readonly NotStarted[]> {
    const { promise, resolve } = Promise.withResolvers<readonly NotStarted[]>();
    this.#waiting = () => {
      const standings = standingsOf(this.#root);
      const lost = [...this.#forgotten, ...standings.flatMap((one) => failure(one))];
      const awaited = standings.some(({ standing }) => standing === "starting" || standing === "restarting");
      if (!awaited || (first && lost.length > 0)) resolve(lost);
    };
    const timer = this.#clock.schedule(limitMs, () => {
      resolve([...this.#forgotten, ...standingsOf(this.#root).flatMap((one) => failure(one, limitMs))]);
    });
    this.seen();
    return await promise.finally(() => {
      timer.cancel();
      this.#waiting = undefined;
    });
  }
}

/** Why a child has not come up; one that is on its way counts if it was waited for in vain. */
function failure(child: ChildStanding, waitedMs?: number): NotStarted[] {
  const { id, who, standing, cause } = child;
  if (standing === "up" || standing === "at_rest") return [];
  if (standing === "set_aside") return [{ name: id, error: startError(lackOf(child) ?? who, cause) }];
  if (waitedMs === undefined) return [];
  const last = cause === undefined ? "" : `; the last start: ${reasonOf(cause)}`;
  return [{ name: id, error: startError(`${who} is still starting after ${formatDuration(waitedMs)}${last}.`, cause) }];
}
