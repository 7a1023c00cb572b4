import type { ServerEvent } from "./sse.ts";

/** How much a buffer holds before its reader counts as too slow. */
const MAX_EVENTS = 1_000;
const MAX_CHARACTERS = 1_000_000;

/**
 * Holds events of a source that cannot wait for its reader. When the buffer is full, it drops everything, and its reader gets the event
 * `lost` as the last one.
 */
export class EventBuffer implements AsyncIterable<readonly ServerEvent[]> {
  readonly #maxEvents: number;
  readonly #maxCharacters: number;
  #events: { readonly event: ServerEvent; readonly size: number }[] = [];
  #size = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor({
    maxEvents = MAX_EVENTS,
    maxCharacters = MAX_CHARACTERS,
  }: { readonly maxEvents?: number; readonly maxCharacters?: number } = {}) {
    this.#maxEvents = maxEvents;
    this.#maxCharacters = maxCharacters;
  }

  /** Adds an event. Has no effect after the end. */
  push(event: ServerEvent): void {
    if (this.#ended) return;
    const size = JSON.stringify(event.data).length;
    if (this.#events.length === this.#maxEvents || this.#size + size > this.#maxCharacters) {
      this.#events = [{ event: LOST, size: 0 }];
      this.#ended = true;
    } else {
      this.#events.push({ event, size });
      this.#size += size;
    }
    this.#wake?.();
  }

  /** Ends the iteration after the events that are left. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Yields the events that have come since the last ones, for one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ServerEvent[], void, undefined> {
    for (;;) {
      if (this.#events.length > 0) {
        const events = this.#events.map(({ event }) => event);
        this.#events = [];
        this.#size = 0;
        yield events;
      } else if (this.#ended) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }
}

const LOST: ServerEvent = {
  event: "lost",
  data: {
    type: "lost",
    code: "EVENTS_LOST",
    message: "The client read too slowly. Connect again, and read the state anew.",
  },
};
