import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";

/** A reader of a session's events over the nodes that own the session one after the other. */
export class RemoteReading {
  readonly #options: EventOptions;
  #after: number | undefined;
  #hasEnded = false;

  constructor(options: EventOptions) {
    this.#options = options;
    this.#after = options.after;
  }

  /** What to ask the next node for. The end of a turn is always asked for, because it also ends its reader. */
  get next(): EventOptions {
    const { types, turn } = this.#options;
    const after = this.#after === undefined ? {} : { after: this.#after };
    const wanted =
      types === undefined || turn === undefined ? {} : { types: [...new Set([...types, "turn_ended" as const])] };
    return { ...this.#options, ...wanted, ...after };
  }

  /** Whether no further events can follow a complete answer. */
  get isOver(): boolean {
    return this.#hasEnded || this.#options.live === false;
  }

  /** Passes an event. Returns whether the reader wants it. */
  take(event: SessionEvent): boolean {
    const { types, turn } = this.#options;
    if (event.number !== undefined) this.#after = event.number;
    if (turn !== undefined && event.type === "turn_ended") this.#hasEnded = true;
    return types === undefined || types.includes(event.type);
  }
}
