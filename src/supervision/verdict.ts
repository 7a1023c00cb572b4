import type { ChildExit, Restart } from "./child-spec.ts";
import { addRestart, type Intensity } from "./intensity.ts";

/** A child that ended by itself, or did not come up, and all that decides what becomes of it. */
export interface Case {
  readonly restart: Restart;
  readonly exit: ChildExit;
  /** Earlier restarts that count, the child's own or the supervisor's, monotonic milliseconds, newest first. */
  readonly counted: readonly number[];
  /** Monotonic milliseconds. */
  readonly now: number;
  readonly intensity: Intensity;
  /** Starts in a row that have failed, this one included. */
  readonly failedStarts: number;
  readonly onMaxRestarts: "quarantine" | "escalate";
}

/** What becomes of it. `counted` are the restarts that count from now on. */
export type Verdict =
  | { readonly outcome: "restart"; readonly counted: readonly number[] }
  /** It rests, and its spec is kept. */
  | { readonly outcome: "rest" }
  /** Its spec is deleted. */
  | { readonly outcome: "forget" }
  /** It is set aside until somebody restarts it by hand. */
  | { readonly outcome: "quarantine" }
  /** The supervisor ends. */
  | { readonly outcome: "escalate" };

/**
 * How many starts in a row may fail, if `maxRestarts` is not more. Restarts are counted within a few seconds, and a start that takes
 * its time to fail would stay below that for ever.
 */
const MOST_FAILED_STARTS = 5;

/** Decides what becomes of a child that ended. One clause per rule. */
export function judge({ restart, exit, counted, now, intensity, failedStarts, onMaxRestarts }: Case): Verdict {
  if (restart === "temporary") return { outcome: "forget" };
  if (restart === "transient" && exit.reason !== "abnormal") return { outcome: "rest" };
  const disposition = exit.reason === "abnormal" ? (exit.disposition ?? "count") : "count";
  // Where children escalate none is set aside: the supervisor goes on with all of them or not at all.
  if (disposition === "quarantine") return { outcome: onMaxRestarts };
  if (disposition === "free") return { outcome: "restart", counted };
  const { restarts, exceeded } = addRestart(counted, now, intensity);
  const hopeless = failedStarts > Math.max(MOST_FAILED_STARTS, intensity.maxRestarts);
  return exceeded || hopeless ? { outcome: onMaxRestarts } : { outcome: "restart", counted: restarts };
}
