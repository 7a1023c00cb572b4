import { agoText } from "./format.ts";

const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];

/** Returns how long it is until a time: `4 s`, `9 min 05 s`, `2 h 10 min`, `3 d 4 h`. A time that has passed is `0 s`. */
export function timeLeft(until: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((until - now) / 1_000));
  const two = (count: number): string => String(count).padStart(2, "0");
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ${two(seconds % MINUTE)} s`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ${two(Math.floor((seconds % HOUR) / MINUTE))} min`;
  return `${Math.floor(seconds / DAY)} d ${Math.floor((seconds % DAY) / HOUR)} h`;
}

/** Returns how long ago a time is, in a sentence: `just now`, `12 s ago`. */
export function sinceText(at: number, now: number): string {
  const ago = agoText(at, now);
  return ago === "now" ? "just now" : `${ago} ago`;
}
