import type { EventEntry } from "../../journal/model/event-entry.ts";
import { runInSlices } from "../../slices.ts";
import { SparseMap } from "../../sparse-map.ts";
import { eventOf } from "./event-schemas.ts";
import type { LiveEvent, RecordedEvent, SessionEvent } from "./session-event-types.ts";

/** How many events to keep. */
export interface TailLimits {
  /** How many published events to keep for readers. A slower reader reads the journal. */
  readonly kept: number;
  /** How many events may wait for the journal. */
  readonly pending: number;
}

const LIMITS: TailLimits = { kept: 1_024, pending: 8_192 };

/** How many characters of events to keep, and how many may wait for the journal. */
const MOST_CHARACTERS = 4 * 1024 * 1024;
const MOST_PENDING_CHARACTERS = 32 * 1024 * 1024;

/** How many events, and how many characters of them, may wait for later events before they are written. */
const MOST_HELD = 256;
const MOST_HELD_CHARACTERS = 1024 * 1024;

/** The largest batch that a reader receives. */
const BATCH = 64;

/** A recorded event. */
interface Recorded {
  /** As the journal gets it. */
  entry: EventEntry;
  /** As readers get it, once the first has asked for it. */
  shown?: RecordedEvent;
  /** In characters. */
  readonly size: number;
  /** Whether readers may see it once they have seen all before it. */
  isSettled: boolean;
}

/** A live event. */
interface Live {
  readonly shown: LiveEvent;
  readonly size: number;
  readonly isSettled: true;
}

type Item = Recorded | Live;

function shownOf(item: Item): SessionEvent {
  if (!("entry" in item)) return item.shown;
  item.shown ??= eventOf(item.entry);
  return item.shown;
}

/**
 * The end of a session's events: those that the journal has yet to accept, and the last ones before. A recorded event is
 * published once it is written, so that no crash can take back what a reader has seen; every event after it waits.
 */
export class Tail {
  readonly #limits: TailLimits;
  /** The published ones, then the pending ones. */
  readonly #items: Item[] = [];
  /** The position of the first item. Positions count all events, live ones included. */
  #first = 0;
  /** The position of the first pending item. */
  #pending = 0;
  #characters = 0;
  #pendingCharacters = 0;
  /** The pending recorded events, by number. */
  readonly #unwritten = new SparseMap<number, Recorded>();
  /** The number of the last published recorded event, and of the last one before the first item. */
  #published = 0;
  #before = 0;
  #isEnding = false;
  /** What to call when there is more. */
  readonly #waiting = new Set<() => void>();

  constructor(limits: TailLimits = LIMITS) {
    this.#limits = limits;
  }

  /** The number of the last published recorded event. */
  get published(): number {
    return this.#published;
  }

  /** The position of the next event. */
  get end(): number {
    return this.#first + this.#items.length;
  }

  /** Whether too many events wait for the journal. */
  get isFull(): boolean {
    return this.end - this.#pending >= this.#limits.pending || this.#pendingCharacters >= MOST_PENDING_CHARACTERS;
  }

  /** Whether few events wait for the journal, so that more can wait before they are written. */
  get hasRoom(): boolean {
    return this.end - this.#pending < MOST_HELD && this.#pendingCharacters < MOST_HELD_CHARACTERS;
  }

  /** Whether it has no events and is to get more. */
  get isEmpty(): boolean {
    return this.#items.length === 0 && !this.#isEnding;
  }

  /** Whether the last event has been published. */
  get hasEnded(): boolean {
    return this.#isEnding && this.#pending === this.end;
  }

  /** Starts behind the event with this number, which is published. */
  open(number: number): void {
    this.#published = number;
    this.#before = number;
  }

  /** Adds a recorded event. @param size in characters */
  add(entry: EventEntry, size: number): void {
    const item = { entry, size, isSettled: false };
    this.#items.push(item);
    this.#pendingCharacters += size;
    this.#unwritten.set(entry.number, item);
  }

  /** Adds a live event. @param size in characters */
  addLive(shown: LiveEvent, size: number): void {
    this.#items.push({ shown, size, isSettled: true });
    this.#pendingCharacters += size;
    this.#publish();
  }

  /** Replaces the pending event with the number of this one. */
  replace(entry: EventEntry): void {
    const item = this.#unwritten.get(entry.number);
    if (item !== undefined) item.entry = entry;
  }

  /** Publishes the event with this number, because it is written, or cannot be. */
  settle(number: number): void {
    const item = this.#unwritten.get(number);
    if (item === undefined) return;
    item.isSettled = true;
    this.#unwritten.delete(number);
    this.#publish();
  }

  /** Ends the events after those that are pending, or, with `drop`, without them. */
  finish(drop: boolean): void {
    this.#isEnding = true;
    if (drop) {
      const dropped = this.#items.splice(this.#pending - this.#first);
      for (const { size } of dropped) this.#pendingCharacters -= size;
      this.#unwritten.clear();
    }
    this.#wake();
  }

  /** Forgets the published events. Readers find the recorded ones in the journal. */
  forget(): void {
    while (this.#first < this.#pending) this.#drop();
  }

  /** Returns the position after the event with this number, or undefined if events in between are no longer here. */
  positionAfter(number: number): number | undefined {
    if (number < this.#before) return undefined;
    const at = this.#items.findIndex((item) => ("entry" in item ? item.entry.number : item.shown.after + 1) > number);
    return at === -1 ? this.end : this.#first + at;
  }

  /** Returns published events from this position on, or undefined if they are no longer here. */
  read(position: number): readonly SessionEvent[] | undefined {
    if (position < this.#first) return undefined;
    const from = position - this.#first;
    const to = Math.min(from + BATCH, this.#pending - this.#first);
    return this.#items.slice(from, Math.max(from, to)).map(shownOf);
  }

  /** Has this called once more is published, or the end is. Readers are called in slices of the event loop. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  /** Ends a wait. */
  stopWaiting(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  #wake(): void {
    runInSlices(this.#waiting);
    this.#waiting.clear();
  }

  #publish(): void {
    const before = this.#pending;
    for (let item = this.#items[this.#pending - this.#first]; item?.isSettled === true; ) {
      this.#pending++;
      this.#pendingCharacters -= item.size;
      this.#characters += item.size;
      if ("entry" in item) this.#published = item.entry.number;
      item = this.#items[this.#pending - this.#first];
    }
    if (this.#pending === before) return;
    while (this.#pending - this.#first > this.#limits.kept || this.#characters > MOST_CHARACTERS) this.#drop();
    this.#wake();
  }

  #drop(): void {
    const item = this.#items.shift();
    if (item === undefined) return;
    this.#first++;
    this.#characters -= item.size;
    if ("entry" in item) this.#before = item.entry.number;
  }
}
