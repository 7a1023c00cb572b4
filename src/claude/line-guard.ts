/** The longest line that is still taken for a message. A message that carries a large file is a few tens of megabytes. */
const LONGEST_LINE = 64 * 1024 * 1024;

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Watches the output of a Claude Code process on its way to the SDK, and calls `onBreak` once if it stops being one JSON
 * object a line. The SDK skips such a line in silence; if it was the end of a turn, nobody would ever hear of it.
 *
 * Only the ends of a line are looked at, so that the cost does not depend on what stands between them.
 */
export class LineGuard {
  readonly #onBreak: (reason: string) => void;
  #length = 0;
  #lastByte = 0;
  #broken = false;

  constructor(onBreak: (reason: string) => void) {
    this.#onBreak = onBreak;
  }

  /** The next piece of the output, which may end anywhere. */
  look(chunk: Buffer | string): void {
    if (this.#broken) return;
    const reason = this.#inspect(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    if (reason === undefined) return;
    this.#broken = true;
    this.#onBreak(reason);
  }

  /** What is wrong with the output up to the end of `chunk`. */
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

/** The last byte of a part of a line that is not the carriage return of its end. */
function lastVisible(chunk: Buffer, start: number, stop: number): number | undefined {
  const last = chunk[stop - 1];
  if (last !== CARRIAGE_RETURN) return last;
  return stop - 2 >= start ? chunk[stop - 2] : undefined;
}

function sample(part: Buffer): string {
  return JSON.stringify(part.subarray(0, 40).toString("utf8"));
}
