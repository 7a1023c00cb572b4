import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { formatDuration } from "../../duration.ts";
import { reasonOf } from "../../supervision/child-spec.ts";
import type { Branch } from "./branch.ts";
import { type ChildReport, childReports, problemOf, startError } from "./child-report.ts";
import type { NotStarted } from "./supervisor-reports.ts";

/** Waits until each worker and supervisor of a tree runs or has failed. */
export class ChildStarts {
  readonly #root: Branch;
  readonly #clock: Clock;
  /** The temporary children whose only start failed. The tree has deleted them. */
  readonly #deleted: NotStarted[] = [];
  #check: (() => void) | undefined;

  constructor(root: Branch, clock: Clock) {
    this.#root = root;
    this.#clock = clock;
  }

  /** Call it after each event of the tree. */
  check(): void {
    this.#check?.();
  }

  /** Records a temporary child whose only start failed. */
  temporaryStartFailed(id: string, who: string, cause: unknown): void {
    const error = startError(
      `${who} did not start, and is temporary, so it is not retried: ${reasonOf(cause)}.`,
      cause,
    );
    this.#deleted.push({ name: id, error });
  }

  /**
   * Resolves with the children that failed to start, once each child runs or has failed; with `first`, at the first failure.
   * After `limitMs`, children that are still starting count as failed.
   */
  async failures(first: boolean, limitMs: number): Promise<readonly NotStarted[]> {
    const { promise, resolve } = Promise.withResolvers<readonly NotStarted[]>();
    this.#check = () => {
      const reports = childReports(this.#root);
      const failed = [...this.#deleted, ...reports.flatMap((report) => failureOf(report))];
      const isAwaited = reports.some(({ state }) => state === "starting" || state === "restarting");
      if (!isAwaited || (first && failed.length > 0)) resolve(failed);
    };
    this.check();
    const late = (): NotStarted[] => [
      ...this.#deleted,
      ...childReports(this.#root).flatMap((report) => failureOf(report, limitMs)),
    ];
    return await withDeadline(this.#clock, limitMs, promise, late).finally(() => {
      this.#check = undefined;
    });
  }
}

/** Returns the failure of a child, if any. A child that is still starting fails only if `waitedMs` is given. */
function failureOf(report: ChildReport, waitedMs?: number): NotStarted[] {
  const { id, who, state, cause } = report;
  if (state === "running" || state === "terminated") return [];
  if (state === "quarantined") return [{ name: id, error: startError(problemOf(report) ?? who, cause) }];
  if (waitedMs === undefined) return [];
  const last = cause === undefined ? "" : `; the last start: ${reasonOf(cause)}`;
  return [{ name: id, error: startError(`${who} is still starting after ${formatDuration(waitedMs)}${last}.`, cause) }];
}
