import ms from "ms";

/** A duration: a number of milliseconds, or a string with a unit such as `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`. */
export type Duration = number | string;

/** The accepted forms of a duration, for error messages. */
export const DURATION_FORMS: string = 'milliseconds as a number, or a string such as "250ms", "30s", "5m", "2h"';

/** The milliseconds of `value`, or `undefined` if it is not a duration. Accepts zero; rejects negative and infinite durations. */
export function parseDuration(value: unknown): number | undefined {
  const milliseconds =
    typeof value === "number"
      ? value
      : typeof value === "string" && value.length > 0 && value.length <= 100
        ? ms(value as ms.StringValue)
        : undefined;
  return milliseconds !== undefined && Number.isFinite(milliseconds) && milliseconds >= 0 ? milliseconds : undefined;
}

/** The units of durations in milliseconds, the longest first. */
const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** Formats `milliseconds` for display, exact to the millisecond: `"30s"`, `"2m"`, `"90s"`, `"1500ms"`. */
export function formatDuration(milliseconds: number): string {
  const rounded = Math.round(milliseconds);
  const [unit, length] = UNITS.find(([, length]) => rounded !== 0 && rounded % length === 0) ?? ["ms", 1];
  return `${rounded / length}${unit}`;
}
