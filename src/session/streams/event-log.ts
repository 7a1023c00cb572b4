import { sizeOf } from "../../claude/messages/message-size.ts";
import { CastellanError } from "../../errors.ts";

/** How many events to keep by default. */
const KEPT = 131_072;

/** How many characters to keep in total. The last event is kept whatever its size. */
const MOST_CHARACTERS = 48 * 1024 * 1024;

/** The largest batch that a reader receives. A reader cannot lose the events of its current batch. */
const BATCH = 64;

/** The fraction of the limit that is evicted at a time. */
const DROPPED = 8;

/** An event and its number, counting from 0. */
export interface Numbered<Event> {
  readonly number: number;
  readonly event: Event;
}

/**
 * A numbered, bounded sequence of events. Any number of readers can attach at any time and at any number, also after
 * its end. A reader delays neither the writer nor other readers.
 */
export class EventLog<Event extends object> {
  readonly #who: string;
  readonly #limit: number;
  /** The events in memory, from number `#first` on. Those before `#oldest` are already evicted for readers. */
  readonly #kept: Event[] = [];
  /** The size of each event in characters, and the total from `#oldest` on and before it. */
  readonly #sizes: number[] = [];
  #characters = 0;
  #gone = 0;
  #first = 0;
  #oldest = 0;
  #end: { readonly error?: Error } | undefined;
  #more: PromiseWithResolvers<void> | undefined;
  #readers = 0;
  /** Called for each new reader. */
  onReader: (() => void) | undefined;

  /** `who` names the owner of the events in messages; `limit` is how many to keep. */
  constructor(who: string, limit: number = KEPT) {
    this.#who = who;
    this.#limit = limit;
  }

  /** The number of the next event. */
  get length(): number {
    return this.#first + this.#kept.length;
  }

  /** The total size of the kept events, in characters. */
  get characters(): number {
    return this.#characters;
  }

  /** How many readers are attached. */
  get readers(): number {
    return this.#readers;
  }

  append(event: Event): void {
    const size = sizeOf(event);
    this.#kept.push(event);
    this.#sizes.push(size);
    this.#characters += size;
    while (this.length - this.#oldest > this.#limit) this.#lose();
    while (this.#characters > MOST_CHARACTERS && this.length - this.#oldest > 1) this.#lose();
    this.#drop();
    this.#wake();
  }

  #lose(): void {
    const size = this.#sizes[this.#oldest - this.#first] ?? 0;
    this.#oldest++;
    this.#characters -= size;
    this.#gone += size;
  }

  /** Removes evicted events from memory in large pieces, so that the cost per event stays constant. */
  #drop(): void {
    const count = this.#oldest - this.#first;
    if (count < this.#limit / DROPPED && this.#gone < MOST_CHARACTERS / DROPPED) return;
    this.#kept.splice(0, count);
    this.#sizes.splice(0, count);
    this.#first = this.#oldest;
    this.#gone = 0;
  }

  /** Ends the log: readers finish, or fail with `error`. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /**
   * Reads from number `from` on and waits for new events.
   *
   * @throws CastellanError `EVENTS_LOST` if the next event is no longer kept; the error that ended the log
   */
  async *read(from = 0): AsyncGenerator<Numbered<Event>, void, undefined> {
    let number = from;
    for await (const batch of this.batches(from)) for (const event of batch) yield { number: number++, event };
  }

  /** Like {@link EventLog.read}, in batches of several events, which costs less per event. */
  async *batches(from = 0): AsyncGenerator<readonly Event[], void, undefined> {
    this.#readers++;
    this.onReader?.();
    try {
      for (let number = from; ; ) {
        while (number >= this.length) {
          if (this.#end?.error !== undefined) throw this.#end.error;
          if (this.#end !== undefined) return;
          this.#more ??= Promise.withResolvers();
          await this.#more.promise;
        }
        if (number < this.#oldest) throw this.#lost(number);
        const at = number - this.#first;
        const batch = this.#kept.slice(at, at + BATCH);
        number += batch.length;
        yield batch;
      }
    } finally {
      this.#readers--;
    }
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }

  #lost(number: number): CastellanError<"EVENTS_LOST"> {
    const message = `${this.#who}: number ${number} is no longer kept; read faster, or from ${this.#oldest} on.`;
    return new CastellanError("EVENTS_LOST", message, { details: { oldest: this.#oldest } });
  }
}
