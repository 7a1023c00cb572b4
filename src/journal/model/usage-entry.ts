import type { Spending } from "./spending.ts";

/** What spending can be told apart by. */
export type UsageDimension = "supervisor" | "session" | "model" | "day";

/** Which spending is asked for, and how finely. */
export interface UsageQuery {
  /** Only what this supervisor's sessions spent. */
  readonly supervisor?: string;
  /** Only what this session spent; the canonical form of its name. */
  readonly session?: string;
  /** The first and the last day, as `2026-11-24`, in UTC; both count. */
  readonly since?: string;
  readonly until?: string;
  /** One entry for each combination of these; without any, one for all. */
  readonly by: readonly UsageDimension[];
}

/** What was spent, by the dimensions that were asked for. Where nothing was spent there is no entry. */
export interface UsageEntry extends Spending {
  readonly supervisor?: string;
  /** The canonical form of the session's name. */
  readonly session?: string;
  readonly model?: string;
  /** In UTC, as `2026-11-24`. */
  readonly day?: string;
}

const DAY_MS = 86_400_000;

/** The day that was asked for last: nearly always the same. */
let last = { number: Number.NaN, day: "" };

/** The day of a time in milliseconds since the epoch, in UTC. */
export function dayOf(at: number): string {
  const number = Math.floor(at / DAY_MS);
  if (number !== last.number) last = { number, day: new Date(at).toISOString().slice(0, 10) };
  return last.day;
}
