/** An event of a stream of server-sent events. */
export interface StreamedEvent {
  readonly event: string;
  readonly data: string;
  /** Left out if the event has none. */
  readonly id?: string;
}

/** The longest line and the longest data of an event, in characters. */
const LONGEST = 64 * 1024 * 1024;

/** Parses a stream of server-sent events from its pieces, which may end anywhere. */
export class SseParser {
  #line = "";
  /** Whether the last piece ended with a carriage return, whose line feed may follow. */
  #afterReturn = false;
  #event = "";
  #data: string[] = [];
  #size = 0;
  #id: string | undefined;
  /** How long the server asks to wait before the next connection, in milliseconds. */
  retryMs: number | undefined;

  /** Returns the events that a piece completes. @throws RangeError for a line or an event that is too long */
  parse(piece: string): StreamedEvent[] {
    const found: StreamedEvent[] = [];
    let text = piece;
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    if (piece !== "") this.#afterReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.#take(this.#line + line);
      this.#line = "";
      if (event !== undefined) found.push(event);
    }
    this.#line += rest;
    if (this.#line.length > LONGEST) throw new RangeError("The server sent a line that is too long.");
    return found;
  }

  /** Takes a whole line. Returns the event that it ends, if any. */
  #take(line: string): StreamedEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    // A comment.
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    else if (field === "data") {
      this.#size += value.length;
      if (this.#size > LONGEST) throw new RangeError("The server sent an event that is too long.");
      this.#data.push(value);
    }
    return undefined;
  }

  #dispatch(): StreamedEvent | undefined {
    const [event, data, id] = [this.#event, this.#data, this.#id];
    this.#event = "";
    this.#data = [];
    this.#size = 0;
    this.#id = undefined;
    if (data.length === 0) return undefined;
    return { event: event === "" ? "message" : event, data: data.join("\n"), ...(id !== undefined && { id }) };
  }
}
