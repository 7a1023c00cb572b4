import { printable } from "../printable.ts";
import type { EventLogger } from "./log.ts";

/** Writes lines for people to the standard error output: when, what, and each field as `name=value`. */
export function stderrLogger(write: (line: string) => void = (line) => void process.stderr.write(line)): EventLogger {
  const line = (level: string) => (fields: object, message: string) => {
    const known = Object.entries(fields).filter(([, value]) => value !== undefined);
    const shown = known.map(([name, value]) => `${name}=${shownValue(value)}`);
    write(`${printable([new Date().toISOString(), level, message, ...shown].join(" "))}\n`);
  };
  return { info: line("info"), warn: line("warn") };
}

/** A word as it is; all else as JSON, which has no line breaks. */
function shownValue(value: unknown): string {
  return typeof value === "string" && /^[\w.:-]+$/.test(value) ? value : JSON.stringify(value);
}
