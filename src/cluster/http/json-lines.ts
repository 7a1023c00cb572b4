const NEWLINE = 0x0a;

/** Returns a value as a line of JSON. JSON escapes line feeds and lone surrogates. */
export function jsonLine(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** An empty line, which {@link JsonLines} skips: a ping. */
export const EMPTY_LINE: Uint8Array = Buffer.from("\n");

/** Assembles lines of JSON from chunks of any size. */
export class JsonLines {
  readonly #limit: number;
  /** The chunks of an unfinished line. */
  #begun: Uint8Array[] = [];
  #size = 0;

  /** `limit` is the maximum length of a line, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Returns the values of the lines that end in this chunk.
   *
   * @throws SyntaxError if a line is not JSON
   * @throws RangeError if a line is too long
   */
  push(piece: Uint8Array): unknown[] {
    const values: unknown[] = [];
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
      this.#keep(piece.subarray(from, end));
      from = end + 1;
      if (this.#size > 0) values.push(parsed(this.#take()));
    }
    this.#keep(piece.subarray(from));
    return values;
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#size += part.length;
    if (this.#size > this.#limit) throw new RangeError(`a line of more than ${this.#limit} bytes`);
    this.#begun.push(part);
  }

  #take(): string {
    const [first, ...others] = this.#begun;
    const line = first !== undefined && others.length === 0 ? first : Buffer.concat(this.#begun, this.#size);
    this.#begun = [];
    this.#size = 0;
    return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8");
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new SyntaxError(`a line that is not JSON: ${line.slice(0, 100)}`, { cause: error });
  }
}
