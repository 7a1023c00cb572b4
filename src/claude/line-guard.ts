/** The longest line that can be a message. A message with a large file takes a few tens of megabytes. */
const LONGEST_LINE = 64 * 1024 * 1024;

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Watches a Claude Code process's output on its way to the SDK, and calls `onBreak` once if a line is not a JSON
 * object. The SDK silently skips such a line; if it was a result, the turn would never end.
 *
 * Looks only at both ends of a line, so the cost does not depend on its length.
 */
export class LineGuard {
  readonly #onBreak: (reason: string) => void;
  #length = 0;
  #lastByte = 0;
  #broken = false;

  constructor(onBreak: (reason: string) => void) {
    this.#onBreak = onBreak;
  }

  /** Takes the next chunk, which may end anywhere. */
  look(chunk: Buffer | string): void {
    if (this.#broken) return;
    const reason = this.#inspect(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    if (reason === undefined) return;
    this.#broken = true;
    this.#onBreak(reason);
  }

  /** Returns what is wrong with the output up to the end of `chunk`, or undefined. */
  #inspect(chunk: Buffer): string | undefined {
    if (chunk.includes(0)) return "a NUL byte";
    let start = 0;
    while (start < chunk.length) {
      const end = chunk.indexOf(NEWLINE, start);
      const stop = end === -1 ? chunk.length : end;
      if (stop > start) {
        if (this.#length === 0 && chunk[start] !== OPEN_BRACE) {
          return `a line that begins with ${sample(chunk.subarray(start, stop))}`;
        }
        this.#lastByte = lastVisible(chunk, start, stop) ?? this.#lastByte;
        this.#length += stop - start;
        if (this.#length > LONGEST_LINE) return `a line of more than ${LONGEST_LINE} bytes`;
      }
      if (end === -1) return undefined;
      if (this.#length > 0 && this.#lastByte !== CLOSE_BRACE) return "a line that breaks off";
      this.#length = 0;
      start = end + 1;
    }
    return undefined;
  }
}

/** Returns the last byte of a part of a line, without its carriage return. */
function lastVisible(chunk: Buffer, start: number, stop: number): number | undefined {
  const last = chunk[stop - 1];
  if (last !== CARRIAGE_RETURN) return last;
  return stop - 2 >= start ? chunk[stop - 2] : undefined;
}

function sample(part: Buffer): string {
  return JSON.stringify(part.subarray(0, 40).toString("utf8"));
}
