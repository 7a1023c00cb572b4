import { crc32 } from "node:zlib";
import { withoutUndefined } from "../../fields.ts";
import { bytesOf, type ContentEntry, type EventEntry, namedBy } from "./event-entry.ts";
import type { JsonObject } from "./session-entry.ts";

/** Consecutive events of a session, which a database stores as one row. They belong to one turn or to none. */
export interface EventSegment {
  /** The numbers of the first and of the last event. */
  readonly first: number;
  readonly last: number;
  /** The lowest and the highest time of the events, in milliseconds since the epoch. */
  readonly earliest: number;
  readonly latest: number;
  /** The turn of all events that have one. */
  readonly turn: string | undefined;
  /** The marks of the events' types, each once, so that a search for the mark of a type finds it. See {@link markOf}. */
  readonly types: string;
  /** Size of the events as `EventExtent.bytes` counts it. */
  readonly bytes: number;
  /** The events as JSON, see `StoredEvent`. */
  readonly body: string;
}

/**
 * An event in a segment: its time, its type, whether it belongs to the segment's turn, and its body. An event with
 * contents also has their hashes, and the size of those that it brought.
 */
type StoredEvent = [at: number, type: string, ofTurn: 0 | 1, body: JsonObject, contents?: string[], bytes?: number];

/**
 * Returns four characters for a type of events. Indexes have them in place of the types, which are several times as long.
 * Few types share a mark, and whoever searches for one checks the types of what it finds.
 */
export function markOf(type: string): string {
  return `.${crc32(type).toString(36).slice(-3).padStart(3, "0")}`;
}

/** How a segment writes a type: as JSON, and as its mark. There are few types, and every event has one. */
interface WrittenType {
  readonly json: string;
  readonly mark: string;
}

const written = new Map<string, WrittenType>();

function writtenTypeOf(type: string): WrittenType {
  const known = written.get(type);
  if (known !== undefined) return known;
  const own = { json: JSON.stringify(type), mark: markOf(type) };
  written.set(type, own);
  return own;
}

/** The most events of a segment. */
export const MOST_EVENTS = 100;

/** A segment takes no more events from this number of characters on. */
const MOST_CHARACTERS = 65_536;

/** Collects the events of a segment. */
export class SegmentBuilder {
  #first = 0;
  #count = 0;
  #earliest = Number.POSITIVE_INFINITY;
  #latest = Number.NEGATIVE_INFINITY;
  #turn: string | undefined;
  #types = "";
  #bytes = 0;
  #body = "";

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether the event can be the next one of this segment. */
  takes({ number, turn }: EventEntry): boolean {
    if (this.#count === 0) return true;
    if (this.#count === MOST_EVENTS || this.#body.length >= MOST_CHARACTERS) return false;
    return number === this.#first + this.#count && (turn === undefined || (this.#turn ?? turn) === turn);
  }

  /** Adds the next event. Returns its size. @param brought the contents that it brings */
  add(event: EventEntry, brought: readonly ContentEntry[]): number {
    const body = JSON.stringify(event.body);
    const bytes = bytesOf(body, brought);
    this.#append(event, body, bytes);
    return bytes;
  }

  /** Adds an event of another segment. */
  copy({ event, bytes }: SegmentEvent): void {
    this.#append(event, JSON.stringify(event.body), bytes);
  }

  #append(event: EventEntry, body: string, bytes: number): void {
    const { number, at, turn } = event;
    const { json: type, mark } = writtenTypeOf(event.type);
    const names = namedBy(event);
    if (this.#count === 0) this.#first = number;
    this.#turn ??= turn;
    this.#earliest = Math.min(this.#earliest, at);
    this.#latest = Math.max(this.#latest, at);
    if (!this.#types.includes(mark)) this.#types += mark;
    this.#bytes += bytes;
    const contents = names.length === 0 ? "" : `,${JSON.stringify(names)},${bytes}`;
    this.#body += `${this.#count === 0 ? "" : ","}[${at},${type},${turn === undefined ? 0 : 1},${body}${contents}]`;
    this.#count += 1;
  }

  /** Returns the segment of the added events, of which there is at least one. */
  build(): EventSegment {
    return {
      first: this.#first,
      last: this.#first + this.#count - 1,
      earliest: this.#earliest,
      latest: this.#latest,
      turn: this.#turn,
      types: this.#types,
      bytes: this.#bytes,
      body: `[${this.#body}]`,
    };
  }
}

/** An event of a segment, and its size as `EventExtent.bytes` counts it. */
export interface SegmentEvent {
  readonly event: EventEntry;
  readonly bytes: number;
}

/** Returns the events of a segment, in order. @param body parsed */
export function* eventsOfSegment(
  session: string,
  { first, turn }: Pick<EventSegment, "first" | "turn">,
  body: unknown,
): Generator<EventEntry, void, undefined> {
  let number = first;
  // `SegmentBuilder` writes the bodies, and a checksum or the database protects them.
  for (const [at, type, ofTurn, one, contents] of body as readonly StoredEvent[]) {
    yield {
      session,
      number,
      at,
      type,
      ...(ofTurn === 1 && withoutUndefined({ turn })),
      body: one,
      ...withoutUndefined({ contents }),
    };
    number += 1;
  }
}

/** Returns the events of a segment with their sizes, in order. @param body parsed */
export function sizedEventsOfSegment(
  session: string,
  segment: Pick<EventSegment, "first" | "turn">,
  body: unknown,
): SegmentEvent[] {
  const stored = body as readonly StoredEvent[];
  return [...eventsOfSegment(session, segment, body)].map((event, index) => ({
    event,
    bytes: stored[index]?.[5] ?? Buffer.byteLength(JSON.stringify(event.body)),
  }));
}
