import type { RecordedExit } from "./child-info.ts";
import type { ChildExit } from "./child-spec.ts";

/** What a supervisor remembers of the crashes of one child. */
export interface History {
  /** Restarts in the current series of crashes. */
  readonly restarts: number;
  /** Milliseconds that the last restart waited. */
  readonly delay: number;
  /** Starts in a row that have failed. */
  readonly failedStarts: number;
  /** When the restarts happened that count toward the child's own intensity, monotonic, newest first. */
  readonly counted: readonly number[];
  /** The last exits, oldest first. */
  readonly exits: readonly RecordedExit[];
}

/** How many exits of a child are kept. */
const KEPT_EXITS = 10;

export const noHistory: History = { restarts: 0, delay: 0, failedStarts: 0, counted: [], exits: [] };

/** Adds an exit seen at `at` (milliseconds since the epoch) and lets go of the oldest beyond ten. */
export function withExit(history: History, exit: ChildExit, at: number): History {
  return { ...history, exits: [...history.exits, { exit, at }].slice(-KEPT_EXITS) };
}

/** Begins anew after a start by hand: no series, nothing counted. The exits stay, as evidence. */
export function pardoned(history: History): History {
  return { ...noHistory, exits: history.exits };
}

/**
 * The history of a child that has now been up for `upFor` milliseconds.
 *
 * A series of crashes ends once the child stayed up as long as the period of its intensity, and as long as it had to
 * wait for its last restart: a child that waited half a minute is well when it lived half a minute, not before.
 */
export function afterUptime(history: History, upFor: number, maxSeconds: number): History {
  return upFor >= Math.max(maxSeconds * 1_000, history.delay) ? { ...history, restarts: 0, delay: 0 } : history;
}
