/** Days in UTC, inclusive, as `2026-11-24`. */
export interface Period {
  readonly from: string;
  readonly to: string;
}

/** The periods that end today, by their number of days. */
export const LENGTHS = [7, 30, 90] as const;

/** The choice of a period. */
export type PeriodChoice = (typeof LENGTHS)[number] | Period;

const DAY_MS = 86_400_000;

/** The most days of a period. */
const MOST_DAYS = 366;

/** Returns the day of a time, in UTC. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** Returns the day so many days later, or earlier. */
export function dayAfter(day: string, days: number): string {
  return dayOf(Date.parse(day) + days * DAY_MS);
}

/** Whether a text is a day of the calendar. */
export function isDay(text: string): boolean {
  return /^[12]\d{3}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text;
}

/** Returns the days of a choice. */
export function periodOf(choice: PeriodChoice, now: number): Period {
  if (typeof choice !== "number") return choice;
  const to = dayOf(now);
  return { from: dayAfter(to, 1 - choice), to };
}

/** Returns the period between two days, whichever comes first; the last days of one that is too long. */
export function periodBetween(one: string, other: string): Period {
  const [from, to] = one <= other ? [one, other] : [other, one];
  const earliest = dayAfter(to, 1 - MOST_DAYS);
  return { from: from < earliest ? earliest : from, to };
}

/** Returns the period with another first or last day. The other end moves only if it has to. */
export function withEnd({ from, to }: Period, end: keyof Period, day: string): Period {
  if (end === "from") {
    const latest = dayAfter(day, MOST_DAYS - 1);
    return { from: day, to: to < day ? day : to > latest ? latest : to };
  }
  return periodBetween(from > day ? day : from, day);
}

/** Returns the number of days of a period. */
export function lengthOf({ from, to }: Period): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
}

/** Returns the period of the same length directly before. */
export function periodBefore(period: Period): Period {
  return { from: dayAfter(period.from, -lengthOf(period)), to: dayAfter(period.from, -1) };
}

/** Returns all days of a period. */
export function daysOf(period: Period): string[] {
  return Array.from({ length: lengthOf(period) }, (_, index) => dayAfter(period.from, index));
}

const SHORT = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const LONG = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

/** Returns a day as `Nov 24`. */
export function dayText(day: string): string {
  return SHORT.format(Date.parse(day));
}

/** Returns a day as `Nov 24, 2026`. */
export function longDayText(day: string): string {
  return LONG.format(Date.parse(day));
}
