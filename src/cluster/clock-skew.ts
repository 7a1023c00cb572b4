import { formatDuration } from "../duration.ts";
import type { ClockSkew } from "./protocol/engine.ts";

/**
 * How far a node's clock may differ from the database's, in milliseconds. Two nodes within that of the database are
 * within 30 seconds of each other, which their requests allow.
 */
const MOST_SKEW_MS = 15_000;

/** Returns the part of a skew that is certain, in milliseconds. Negative if the machine's clock is behind. */
function certainMs({ aheadMs, withinMs }: ClockSkew): number {
  return Math.sign(aheadMs) * Math.max(0, Math.abs(aheadMs) - withinMs);
}

/** Returns what an operator should know of a skew; undefined if it does no harm. */
export function skewProblem(skew: ClockSkew | undefined): string | undefined {
  if (skew === undefined || Math.abs(certainMs(skew)) <= MOST_SKEW_MS) return undefined;
  const by = formatDuration(Math.round(Math.abs(skew.aheadMs) / 1_000) * 1_000);
  const side = skew.aheadMs > 0 ? "ahead of" : "behind";
  const allowed = formatDuration(MOST_SKEW_MS);
  return `the clock of this machine is ${by} ${side} the database's, and ${allowed} are allowed: other nodes refuse its requests, and its time limits are off by as much. Synchronise the clocks by NTP.`;
}

/** What a measurement changes: a problem appears, grows or shrinks by more than is allowed at all, or ends. */
export type SkewChange =
  | { readonly type: "none" }
  | { readonly type: "problem"; readonly problem: string }
  | { readonly type: "over" };

/**
 * Compares a measurement with the one that was told last.
 *
 * @param told undefined if no problem is known
 */
export function skewChange(told: ClockSkew | undefined, skew: ClockSkew | undefined): SkewChange {
  const problem = skewProblem(skew);
  if (skew === undefined) return { type: "none" };
  if (problem === undefined) return { type: told === undefined ? "none" : "over" };
  if (told !== undefined && Math.abs(skew.aheadMs - told.aheadMs) <= MOST_SKEW_MS) return { type: "none" };
  return { type: "problem", problem };
}
