const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];
const BYTES = ["B", "kB", "MB", "GB", "TB"];

/** Returns a size such as `412 MB`; 1,048,576 bytes are a megabyte, as in options. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < BYTES.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1).replace(".0", "") : Math.round(value)} ${BYTES[unit]}`;
}

/** Returns a part of a limit, such as `3.1 of 8 GB`, with the unit once if it is the same. */
export function partText(bytes: number, limit: number): string {
  const [part, whole] = [bytesText(bytes), bytesText(limit)];
  return `${part.split(" ")[1] === whole.split(" ")[1] ? part.split(" ")[0] : part} of ${whole}`;
}

/** Returns US dollars: `$0.0042`, `$1.25`, `$1,250`. */
export function dollarsText(usd: number): string {
  if (usd === 0) return "$0";
  if (usd < 0.00005) return "<$0.0001";
  if (usd < 0.01) return `$${usd.toFixed(4)}`;
  return usd < 1_000 ? `$${usd.toFixed(2)}` : `$${countText(Math.round(usd))}`;
}

/** Returns a number with commas. */
export function countText(count: number): string {
  return count.toLocaleString("en");
}

/** Returns a large number in short: `1.2 M`. */
export function shortText(count: number): string {
  if (count < 10_000) return countText(count);
  if (count < 1_000_000) return `${Math.round(count / 1_000)} k`;
  return count < 1_000_000_000 ? `${(count / 1_000_000).toFixed(1)} M` : `${(count / 1_000_000_000).toFixed(1)} bn`;
}

/** `session` or `sessions`. */
export function plural(count: number, one: string): string {
  return `${countText(count)} ${one}${count === 1 ? "" : "s"}`;
}

/** Returns how long ago a time is: `now`, `12 s`, `5 min`, `3 h`, `2 d`. */
export function agoText(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  if (seconds < 5) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

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

/** Returns how long something took: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}

/** Formats of times, by their options: to make one takes longer than to use it. */
const FORMATS = new Map<string, Intl.DateTimeFormat>();

function formatOf(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale} ${JSON.stringify(options)}`;
  const known = FORMATS.get(key);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat(locale, options);
  FORMATS.set(key, format);
  return format;
}

/** Returns the time of day, in the time zone of the reader, with the date unless it is today. */
export function timeText(at: number, now: number, zone?: string): string {
  const zoned = zone === undefined ? {} : { timeZone: zone };
  const day = formatOf("en-CA", zoned);
  const time = formatOf("en-GB", { hour: "2-digit", minute: "2-digit", ...zoned }).format(at);
  return day.format(at) === day.format(now) ? time : `${day.format(at)} ${time}`;
}

/** Returns a time in full, with its zone, for tooltips. */
export function fullTimeText(at: number, zone?: string): string {
  const zoned = zone === undefined ? {} : { timeZone: zone };
  return formatOf("en-GB", { dateStyle: "medium", timeStyle: "long", ...zoned }).format(at);
}
