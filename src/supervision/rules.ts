import type { ErrorCode } from "../errors.ts";
import type { ChildExit, ChildInfo, RecordedExit, Restart } from "./child-spec.ts";
import type { AutoShutdown, Intensity, Strategy } from "./supervisor-spec.ts";

// OTP's rules, and Castellan's own beside them, as pure functions. `supervisor.erl` has them in `do_restart/3`, `restart/2`,
// `add_restart/1`, `do_auto_shutdown/2` and `handle_call/3`.

/** Strategy: which of `children`, all of them in start order, are restarted when `exited` is. */
export function restartGroup<T>(strategy: Strategy, children: Iterable<T>, exited: T): T[] {
  switch (strategy) {
    case "one_for_one":
      return [exited];
    case "one_for_all":
      return [...children];
    case "rest_for_one": {
      const all = [...children];
      return all.slice(all.indexOf(exited));
    }
  }
}

/** The input of {@link decide}: a child that exited by itself or failed to start. */
export interface ExitCase {
  readonly restart: Restart;
  readonly exit: ChildExit;
  /** Earlier restarts that count, of the child or of the supervisor, in monotonic milliseconds, newest first. */
  readonly counted: readonly number[];
  /** Monotonic milliseconds. */
  readonly now: number;
  readonly intensity: Intensity;
  /** Starts in a row that failed, this one included. */
  readonly failedStarts: number;
  readonly onMaxRestarts: "quarantine" | "escalate";
}

/** The supervisor's reaction to an exit. */
export type Decision =
  /** It restarts the child. `counted` are the restarts that count from now on. */
  | { readonly outcome: "restart"; readonly counted: readonly number[] }
  /** It keeps the spec and does not restart the child. */
  | { readonly outcome: "terminate" }
  /** It deletes the spec. */
  | { readonly outcome: "delete" }
  /** It quarantines the child until a manual restart. */
  | { readonly outcome: "quarantine" }
  /** It ends, with all its children. */
  | { readonly outcome: "escalate" };

/**
 * The number of starts in a row that may fail, unless `maxRestarts` is higher. The intensity counts restarts within a few seconds; starts
 * that fail slowly would never exceed it.
 */
const MAX_FAILED_STARTS = 5;

/** Restart type and intensity: decides the reaction to an exit. One clause per rule. */
export function decide({ restart, exit, counted, now, intensity, failedStarts, onMaxRestarts }: ExitCase): Decision {
  if (restart === "temporary") return { outcome: "delete" };
  if (restart === "transient" && exit.reason !== "abnormal") return { outcome: "terminate" };
  const disposition = exit.reason === "abnormal" ? (exit.disposition ?? "count") : "count";
  // With `escalate` no child is quarantined: the supervisor runs all of its children or none.
  if (disposition === "quarantine") return { outcome: onMaxRestarts };
  if (disposition === "free") return { outcome: "restart", counted };
  const { restarts, exceeded } = addRestart(counted, now, intensity);
  const neverStarts = failedStarts > Math.max(MAX_FAILED_STARTS, intensity.maxRestarts);
  return exceeded || neverStarts ? { outcome: onMaxRestarts } : { outcome: "restart", counted: restarts };
}

/** The restarts that still count, newest first, and whether they exceed the intensity. */
export interface RestartCount {
  readonly restarts: readonly number[];
  readonly exceeded: boolean;
}

/**
 * Restart intensity: counts a restart at `now` (monotonic milliseconds) onto `earlier` ones, newest first.
 *
 * As in OTP the period is closed: a restart exactly `maxSeconds` ago still counts, and only more than `maxRestarts` exceed
 * the intensity. No more than `maxRestarts + 1` are kept.
 */
export function addRestart(earlier: readonly number[], now: number, limit: Intensity): RestartCount {
  const since = now - limit.maxSeconds * 1_000;
  const restarts = [now, ...earlier.filter((at) => at >= since)];
  return { restarts, exceeded: restarts.length > limit.maxRestarts };
}

/**
 * Automatic shutdown: whether the supervisor ends after a child exited by itself and is not restarted. `othersActive` returns whether
 * another significant child runs or will run.
 */
export function endsSupervisor(rule: AutoShutdown, significant: boolean, othersActive: () => boolean): boolean {
  if (!significant) return false;
  switch (rule) {
    case "never":
      return false;
    case "any_significant":
      return true;
    case "all_significant":
      return !othersActive();
  }
}

/** A call about a child. `start` is the start of a second child with the same id. */
export type Call = "start" | "restart" | "delete" | "recycle";

/** `proceed`: execute the call. `await_start`: the child is already starting, so the call waits. Otherwise the error code. */
export type CallAnswer =
  | "proceed"
  | "await_start"
  | Extract<ErrorCode, "CHILD_ALREADY_STARTED" | "CHILD_ALREADY_PRESENT" | "CHILD_RUNNING" | "CHILD_RESTARTING">;

const onlyWhileStopped = {
  running: "CHILD_RUNNING",
  starting: "CHILD_RUNNING",
  restarting: "CHILD_RESTARTING",
  quarantined: "proceed",
  terminated: "proceed",
} as const;

const answers: Record<Call, Record<ChildInfo["state"], CallAnswer>> = {
  start: {
    running: "CHILD_ALREADY_STARTED",
    starting: "CHILD_ALREADY_STARTED",
    restarting: "CHILD_ALREADY_PRESENT",
    quarantined: "CHILD_ALREADY_PRESENT",
    terminated: "CHILD_ALREADY_PRESENT",
  },
  restart: onlyWhileStopped,
  delete: onlyWhileStopped,
  recycle: {
    running: "proceed",
    starting: "await_start",
    restarting: "await_start",
    quarantined: "proceed",
    terminated: "proceed",
  },
};

/** Calls: what a supervisor answers to a call about a child in this state. */
export function answerTo(call: Call, state: ChildInfo["state"]): CallAnswer {
  return answers[call][state];
}

/** What a supervisor remembers of the crashes of one child. */
export interface RestartHistory {
  /** Restarts in the current series of crashes. */
  readonly restarts: number;
  /** The delay of the last restart, in milliseconds. */
  readonly delay: number;
  /** The number of failed starts in a row. */
  readonly failedStarts: number;
  /** The restarts that count toward the child's own intensity, in monotonic milliseconds, newest first. */
  readonly counted: readonly number[];
  /** The last exits, oldest first. */
  readonly exits: readonly RecordedExit[];
}

/** The number of exits kept per child. */
const KEPT_EXITS = 10;

export const noHistory: RestartHistory = { restarts: 0, delay: 0, failedStarts: 0, counted: [], exits: [] };

/** History: adds an exit seen at `at` (milliseconds since the epoch) and drops the oldest beyond ten. */
export function withExit(history: RestartHistory, exit: ChildExit, at: number): RestartHistory {
  return { ...history, exits: [...history.exits, { exit, at }].slice(-KEPT_EXITS) };
}

/** History: a manual start resets the series and the counted restarts. The exits stay. */
export function afterManualStart(history: RestartHistory): RestartHistory {
  return history.exits.length === 0 ? noHistory : { ...noHistory, exits: history.exits };
}

/**
 * History: the child has now run for `uptime` milliseconds.
 *
 * A series of crashes ends once the child has run for the period of its intensity and for the delay of its last restart: after a delay of
 * half a minute, a child has recovered after half a minute of uptime.
 */
export function afterUptime(history: RestartHistory, uptime: number, maxSeconds: number): RestartHistory {
  return uptime >= Math.max(maxSeconds * 1_000, history.delay) ? { ...history, restarts: 0, delay: 0 } : history;
}
