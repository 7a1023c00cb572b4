import type { Logger } from "../../application/options/supervisor-options.ts";

/** Returns a logger that writes a line of text or of JSON for each message. */
export function serverLog(write: (line: string) => void, now: () => number, json: boolean): Logger {
  const log = (level: string) => (message: string) => {
    const time = new Date(now()).toISOString();
    write(json ? JSON.stringify({ time, level, message }) : `${time} ${level.padEnd(4)} ${message}`);
  };
  return { info: log("info"), warn: log("warn") };
}
