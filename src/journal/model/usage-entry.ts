import type { Spending } from "./spending.ts";

/** A dimension of spending. */
export type UsageDimension = "supervisor" | "session" | "model" | "day";

/** Which spending to return, and by which dimensions. */
export interface UsageQuery {
  /** Only sessions of this supervisor. */
  readonly supervisor?: string;
  /** Only this session, by canonical name. */
  readonly session?: string;
  /** First and last day, inclusive, in UTC, as `2026-11-24`. */
  readonly since?: string;
  readonly until?: string;
  /** One entry per value of this label, and one for all sessions without it. */
  readonly label?: string;
  /** One entry per combination of these dimensions; without any, one in total. */
  readonly by: readonly UsageDimension[];
}

/** Spending by the requested dimensions. There is no entry without spending. */
export interface UsageEntry extends Spending {
  readonly supervisor?: string;
  /** Canonical name of the session. */
  readonly session?: string;
  readonly model?: string;
  /** The value of the requested label. Left out for sessions without it, and for erased ones. */
  readonly label?: string;
  /** In UTC, as `2026-11-24`. */
  readonly day?: string;
  /** The number of turns that have spent. A turn with several models counts for the one that cost most. */
  readonly turns: number;
}

const DAY_MS = 86_400_000;

/** The last result: nearly every call asks for the same day. */
let last = { number: Number.NaN, day: "" };

/** Returns the UTC day of a time in milliseconds since the epoch. */
export function dayOf(at: number): string {
  const number = Math.floor(at / DAY_MS);
  if (number !== last.number) last = { number, day: new Date(at).toISOString().slice(0, 10) };
  return last.day;
}

/** Returns when the next UTC day begins, in milliseconds since the epoch. */
export function nextDayAt(at: number): number {
  return (Math.floor(at / DAY_MS) + 1) * DAY_MS;
}
