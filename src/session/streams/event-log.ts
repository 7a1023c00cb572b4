import { CastellanError } from "../../errors.ts";
import { sizeOf } from "./message-size.ts";

/** How many events are kept for readers, unless it is said otherwise. */
const KEPT = 131_072;

/** How much is kept for readers at the most, in characters; the last event is kept whatever its size. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

/** How many events a reader is given at a time, at the most: those that it has been given it need not fear to lose. */
const BATCH = 64;

/** What part of all that may be kept is let go at a time. */
const DROPPED = 8;

/** An event and its number, which counts from 0. */
export interface Numbered<Event> {
  readonly number: number;
  readonly event: Event;
}

/**
 * Events in order, numbered and bounded. Any number of readers can attach, at any number and at any time, also after the
 * end; none of them holds up whoever writes, or another reader.
 */
export class EventLog<Event extends object> {
  readonly #who: string;
  readonly #limit: number;
  /** The events that are kept; the first of them has number `#first`. Those before `#oldest` are as good as gone. */
  readonly #kept: Event[] = [];
  /** How many characters each of them has, and all from `#oldest` on, and those before. */
  readonly #sizes: number[] = [];
  #characters = 0;
  #gone = 0;
  #first = 0;
  #oldest = 0;
  #end: { readonly error?: Error } | undefined;
  #more: PromiseWithResolvers<void> | undefined;
  #readers = 0;

  /** `who` is whose events they are, for messages; `limit` how many of them are kept. */
  constructor(who: string, limit: number = KEPT) {
    this.#who = who;
    this.#limit = limit;
  }

  /** The number that the next event will have. */
  get length(): number {
    return this.#first + this.#kept.length;
  }

  /** How many characters the events have that are kept. */
  get characters(): number {
    return this.#characters;
  }

  /** How many read at this moment. */
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

  /** Lets go of those that are as good as gone, in large pieces, so that each event of a long row costs the same. */
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
   * Reads from number `from` on, and waits for what is still to come.
   *
   * @throws CastellanError `EVENTS_LOST` if the event to be read next is no longer kept; whatever ended the log.
   */
  async *read(from = 0): AsyncGenerator<Numbered<Event>, void, undefined> {
    let number = from;
    for await (const batch of this.batches(from)) for (const event of batch) yield { number: number++, event };
  }

  /** As {@link EventLog.read}, but gives what is there in pieces of several events, which costs a reader of all less. */
  async *batches(from = 0): AsyncGenerator<readonly Event[], void, undefined> {
    this.#readers++;
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
