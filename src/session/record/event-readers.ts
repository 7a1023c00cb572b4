import { withoutUndefined } from "../../fields.ts";
import type { EventEntry, EventExtent, EventQuery } from "../../journal/model/event-entry.ts";
import { readEvent, recordedEventTypes } from "./event-schemas.ts";
import { leavable } from "./leavable.ts";
import type { RecordedEvent, SessionEvent } from "./session-event-types.ts";
import type { SessionRecord } from "./session-record.ts";

/** How many events to read from the journal at a time. */
const PAGE = 256;

/** Which events to read. */
export interface EventOptions<Type extends SessionEvent["type"] = SessionEvent["type"]> {
  /**
   * Only events after the recorded event with this number; 0 for all. Default: with `live`, those after the call;
   * otherwise all.
   */
  readonly after?: number;
  /** Only events of these types. Default: all. */
  readonly types?: readonly Type[];
  /** Only events of the turn with this id, until it ends. */
  readonly turn?: string;
  /** Whether to wait for further events after the recorded ones, and to include live events. Default: `true`. */
  readonly live?: boolean;
}

/** Which page of past events to read. */
export interface EventPageOptions {
  /** Only events with a lower number. Default: the last events. */
  readonly before?: number;
  /** Only events of these types. Default: all. */
  readonly types?: readonly RecordedEvent["type"][];
  /** Only events of the turn with this id. */
  readonly turn?: string;
  /** How many events to return at most, up to 1,000. Default 100. */
  readonly limit?: number;
}

/** The events of a session in the journal. */
export interface EventStore {
  /** Resolves once the session's events can be read. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  ready(): Promise<void>;
  /** @throws CastellanError `JOURNAL_UNAVAILABLE` */
  events(query: Omit<EventQuery, "session">): Promise<readonly EventEntry[]>;
  /** @throws CastellanError `JOURNAL_UNAVAILABLE` */
  extent(): Promise<EventExtent | undefined>;
}

/**
 * Reads the events of a session: first those in the journal, then those that follow, each once and in order. Begins at the call, not at
 * the first read. A reader that is slow returns to the journal, and misses live events meanwhile. `return()` also ends
 * a reader that waits.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export function readEvents(
  record: SessionRecord,
  store: EventStore,
  options: EventOptions,
): AsyncGenerator<SessionEvent, void, undefined> {
  const { live = true, after = live ? undefined : 0 } = options;
  const start = { seen: after ?? record.last, position: after === undefined ? record.tail.end : undefined };
  const reading = new Reading(record, store, options, start);
  const events = leavable(reading.read(), () => reading.leave());
  readings.set(events, reading);
  return events;
}

const readings = new WeakMap<AsyncGenerator<SessionEvent, void, undefined>, Reading>();

/**
 * Reads the events of a reader that has not begun, in the batches in which they come: a batch costs as much as an event. A reader of
 * another node has batches of one event.
 */
export async function* batchesOf(
  events: AsyncGenerator<SessionEvent, void, undefined>,
): AsyncGenerator<readonly SessionEvent[], void, undefined> {
  const reading = readings.get(events);
  if (reading === undefined) {
    for await (const event of events) yield [event];
    return;
  }
  try {
    for await (const batch of reading.batches()) yield batch;
  } finally {
    // Also keeps the reader from being garbage-collected, which would end it.
    await events.return();
  }
}

/** Returns a page of the published events, the highest number first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function readEventPage(
  record: SessionRecord,
  store: EventStore,
  { before = Number.POSITIVE_INFINITY, types, turn, limit = 100 }: EventPageOptions,
): Promise<RecordedEvent[]> {
  await store.ready();
  const wanted = types?.includes("unknown") === true ? undefined : types;
  const upTo = Math.min(before, record.published + 1);
  const page = await store.events({ before: upTo, limit, ...withoutUndefined({ types: wanted, turn }) });
  return page.map(readEvent);
}

/** Where a reader is: after the recorded event with the number `seen`, and at `position` of the tail if it reads that. */
interface Place {
  readonly seen: number | undefined;
  readonly position: number | undefined;
}

class Reading {
  readonly #record: SessionRecord;
  readonly #store: EventStore;
  readonly #live: boolean;
  readonly #types: ReadonlySet<string> | undefined;
  readonly #turn: string | undefined;
  #seen: number | undefined;
  #position: number | undefined;
  #hasEnded = false;
  /** Ends the wait for more events. */
  #wake: (() => void) | undefined;
  /** Whether the record counts it as a reader: from the call on, because its events begin there. */
  #isCounted = true;

  constructor(record: SessionRecord, store: EventStore, { types, turn, live = true }: EventOptions, start: Place) {
    this.#record = record;
    this.#store = store;
    this.#live = live;
    this.#types = types === undefined ? undefined : new Set(types);
    this.#turn = turn;
    this.#seen = start.seen;
    this.#position = start.position;
    record.joined();
  }

  /** Ends the reader, also while it waits or before it has begun. */
  leave(): void {
    this.#hasEnded = true;
    this.#wake?.();
    this.#left();
  }

  #left(): void {
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#record.left();
  }

  async *read(): AsyncGenerator<SessionEvent, void, undefined> {
    for await (const batch of this.batches()) for (const event of batch) yield event;
  }

  /** Yields the events in batches, which are not empty. */
  async *batches(): AsyncGenerator<readonly SessionEvent[], void, undefined> {
    const { tail } = this.#record;
    try {
      while (!this.#hasEnded) {
        if (this.#position === undefined) {
          for await (const events of this.#stored()) if (events.length > 0) yield events;
          if (!this.#live || this.#record.isErased) return;
          continue;
        }
        const batch = tail.read(this.#position);
        if (batch === undefined) this.#position = undefined;
        else if (batch.length > 0) {
          this.#position += batch.length;
          const wanted = this.#wanted(batch);
          if (wanted.length > 0) yield wanted;
        } else if (tail.hasEnded) return;
        else await this.#more();
      }
    } finally {
      this.#left();
    }
  }

  /** Resolves when there is more to read, or the reader leaves. */
  async #more(): Promise<void> {
    const { tail } = this.#record;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    tail.wait(resolve);
    await promise;
    this.#wake = undefined;
    tail.stopWaiting(resolve);
  }

  /** Passes events until the reader ends. Returns those that it wants. */
  #wanted(events: readonly SessionEvent[]): SessionEvent[] {
    const wanted: SessionEvent[] = [];
    for (const event of events) {
      if (this.#take(event)) wanted.push(event);
      if (this.#hasEnded) break;
    }
    return wanted;
  }

  /** Yields what the journal has, until the tail has what follows. */
  async *#stored(): AsyncGenerator<readonly SessionEvent[], void, undefined> {
    await this.#store.ready();
    const { tail } = this.#record;
    const limit = this.#live ? Number.POSITIVE_INFINITY : tail.published;
    const filter = this.#filter;
    // A reader from before the first number was known has missed nothing that has one.
    let seen = this.#seen ?? this.#record.opened;
    const begin = await this.#store.extent();
    // Numbers that were never given come from an earlier life of the name.
    if (seen > Math.max(begin?.last ?? 0, this.#record.last ?? 0)) this.#seen = seen = -1;
    let oldest = begin?.first ?? 1;
    while (!this.#hasEnded) {
      if (seen + 1 < oldest) {
        if (await this.#misses()) yield this.#pruned(oldest);
        this.#seen = seen = oldest - 1;
      }
      this.#position = this.#live ? tail.positionAfter(seen) : undefined;
      if (this.#position !== undefined) break;
      // Later events may be in the journal before those that the tail still waits for.
      const through = Math.min(tail.published, limit);
      if (seen >= through) break;
      const page = filter === undefined ? [] : await this.#store.events({ after: seen, limit: PAGE, ...filter });
      // Some may have been deleted since the last look.
      oldest = (await this.#store.extent())?.first ?? oldest;
      if (this.#hasEnded || this.#record.isErased) return;
      if (seen + 1 < oldest) continue;
      const events: SessionEvent[] = [];
      for (const entry of page) {
        if (entry.number > through) break;
        const isGap = filter?.types === undefined && filter?.turn === undefined && entry.number > seen + 1;
        if (isGap) events.push(...this.#pruned(entry.number));
        seen = entry.number;
        const event = readEvent(entry);
        if (this.#take(event)) events.push(event);
        if (this.#hasEnded) break;
      }
      yield events;
      if (this.#hasEnded || this.#record.isErased) return;
      // Only an empty page has nothing after it: a page of large events ends early.
      if (page.length === 0 || (page.at(-1)?.number ?? 0) > through) seen = through;
    }
    this.#seen = seen;
  }

  /** Whether events that are no longer kept may concern the reader: not if its turn is kept from its beginning. */
  async #misses(): Promise<boolean> {
    if (this.#turn === undefined) return true;
    const [first] = await this.#store.events({ turn: this.#turn, limit: 1 });
    return first !== undefined && first.type !== "turn_accepted";
  }

  /** Returns the notice that events before this number are no longer kept, or were another session's of the same name. */
  #pruned(oldest: number): SessionEvent[] {
    const event: SessionEvent = { type: "pruned", oldest, at: this.#record.now, after: oldest - 1 };
    return this.#matches(event) ? [event] : [];
  }

  /** Passes an event. Returns whether the reader wants it. */
  #take(event: SessionEvent): boolean {
    const { number } = event;
    if (number !== undefined) {
      if (this.#seen !== undefined && number <= this.#seen) return false;
      this.#seen = number;
    }
    const isOfTurn = this.#turn === undefined || ("turnId" in event && event.turnId === this.#turn);
    if (isOfTurn && this.#turn !== undefined && event.type === "turn_ended") this.#hasEnded = true;
    return isOfTurn && this.#matches(event);
  }

  #matches({ type }: SessionEvent): boolean {
    return this.#types === undefined || this.#types.has(type);
  }

  /** What to ask the journal for: the end of a turn also ends its reader. `undefined` if no recorded event matches. */
  get #filter(): Pick<EventQuery, "types" | "turn"> | undefined {
    const wanted = this.#types;
    const ofTurn = withoutUndefined({ turn: this.#turn });
    if (wanted === undefined || wanted.has("unknown")) return ofTurn;
    const types = recordedEventTypes.filter((type) => wanted.has(type));
    if (types.length === 0 && this.#turn === undefined) return undefined;
    if (this.#turn !== undefined && !wanted.has("turn_ended")) types.push("turn_ended");
    return { types, ...ofTurn };
  }
}
