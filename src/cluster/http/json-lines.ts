const NEWLINE = 0x0a;

/** A value as a line of JSON. JSON has no line feed of its own within a value, and says half a surrogate pair by its number. */
export function jsonLine(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** A line of nothing, which {@link JsonLines} skips. It only shows that whoever sends is there. */
export const EMPTY_LINE: Uint8Array = Buffer.from("\n");

/** Puts lines of JSON together again from pieces of any size. */
export class JsonLines {
  readonly #limit: number;
  /** What has come of a line whose end has not. */
  #begun: Uint8Array[] = [];
  #size = 0;

  /** `limit` is how long a line may be, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The values of the lines that end in this piece.
   *
   * @throws SyntaxError if a line is no JSON
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
    throw new SyntaxError(`a line that is no JSON: ${line.slice(0, 100)}`, { cause: error });
  }
}
