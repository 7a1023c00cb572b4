import { printable } from "../../printable.ts";

/** Characters that take two columns of a terminal. */
const WIDE =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\uff01-\uff60]/u;
const NO_WIDTH = /\p{Mn}|\p{Me}|[\u200b-\u200d]|\ufe0f/u;

/** Returns the columns that a line of text takes in a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

/** Returns untrusted text as one line without control characters. */
export function oneLine(text: string): string {
  return printable(text.replace(/\s+/g, " ").trim());
}

/** Cuts a line to `width` columns, with an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  let taken = 0;
  for (const character of text) {
    const own = widthOf(character);
    if (taken + own > width - 1) break;
    kept += character;
    taken += own;
  }
  return `${kept}…`;
}

/** Formats a duration for people: `850ms`, `12s`, `4m`, `3h`, `2d`. */
export function shortDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const;
  const [unit, size] = units.find(([, size]) => ms >= size) ?? (["s", 1_000] as const);
  return `${Math.floor(ms / size)}${unit}`;
}

/** Formats a size for people: `412MB`. */
export function shortBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let at = 0;
  for (; value >= 1_000 && at < units.length - 1; at++) value /= 1_000;
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)}${units[at]}`;
}

/** Formats US dollars. Small amounts keep two digits that count. */
export function dollars(usd: number): string {
  return usd === 0 || usd >= 0.01 ? `$${usd.toFixed(2)}` : `$${usd.toPrecision(2)}`;
}
