import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { formatDuration } from "../../duration.ts";
import { reasonOf } from "../../supervision/child-spec.ts";
import type { Branch } from "./branch.ts";
import { type ChildReport, childReports, problemOf, startError } from "./child-report.ts";
import type { NotStarted } from "./supervisor-reports.ts";

/** Waits until the workers and supervisors of a tree run, or will not. */
export class ChildStarts {
  readonly #root: Branch;
  readonly #clock: Clock;
  /** The temporary children whose only start failed. The tree does not know them any more. */
  readonly #deleted: NotStarted[] = [];
  #check: (() => void) | undefined;

  constructor(root: Branch, clock: Clock) {
    this.#root = root;
    this.#clock = clock;
  }

  /** To be called after each event of the tree. */
  check(): void {
    this.#check?.();
  }

  /** To be called when the only start of a child failed. */
  onlyStartFailed(id: string, who: string, cause: unknown): void {
    const error = startError(`${who} did not come up, and has but one start: ${reasonOf(cause)}.`, cause);
    this.#deleted.push({ name: id, error });
  }

  /**
   * Resolves with the children that do not start, when each runs or will not; with `first`, as soon as one will not. After
   * `limitMs` the children that still start count too.
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

/** Why a child did not start. One that still starts counts only with the time that was waited for it. */
function failureOf(report: ChildReport, waitedMs?: number): NotStarted[] {
  const { id, who, state, cause } = report;
  if (state === "running" || state === "terminated") return [];
  if (state === "quarantined") return [{ name: id, error: startError(problemOf(report) ?? who, cause) }];
  if (waitedMs === undefined) return [];
  const last = cause === undefined ? "" : `; the last start: ${reasonOf(cause)}`;
  return [{ name: id, error: startError(`${who} is still starting after ${formatDuration(waitedMs)}${last}.`, cause) }];
}
