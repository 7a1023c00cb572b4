import { type EventEntry, type EventQuery, PAGE_BYTES, rangeOf } from "./event-entry.ts";
import { type EventSegment, eventsOfSegment } from "./event-segment.ts";

/** A stored segment, as a page reads it. */
export interface PageSegment extends Pick<EventSegment, "first" | "last" | "turn"> {
  /** Id of the session's log, as text: it may exceed JavaScript's integers. */
  readonly log: string;
  /** Size of the body, in bytes. */
  readonly size: number;
  /** Returns the parsed body. @throws Error if the segment is damaged */
  read(): unknown;
}

/** Which segments to read for a page. */
export interface SegmentQuery {
  readonly session: string;
  readonly types: readonly string[] | undefined;
  readonly turn: string | undefined;
  /** Id of the log; undefined for the session's present one. */
  readonly log: string | undefined;
  /** Only segments with events above this number, and events below that one. */
  readonly after: number;
  readonly before: number;
  readonly descending: boolean;
  /** How many events are wanted. Segments beyond that, or beyond `PAGE_BYTES` in all, need not be returned. */
  readonly limit: number;
}

/**
 * Reads a page of events.
 *
 * @param read returns segments that may have such events, in order
 * @param skip called with the error of a damaged segment, which is left out; may throw it
 */
export async function readPage(
  query: EventQuery,
  read: (query: SegmentQuery) => Promise<readonly PageSegment[]>,
  skip: (error: unknown) => void,
): Promise<EventEntry[]> {
  const { session, types, turn } = query;
  const { descending, limit, ...range } = rangeOf(query);
  const page = new Page(query, limit);
  let { after, before } = range;
  let log: string | undefined;
  while (!page.isFull) {
    const wanted = limit - page.events.length;
    const segments = await read({ session, types, turn, log, after, before, descending, limit: wanted });
    const from = descending ? before : after;
    let [events, size] = [0, 0];
    for (const segment of segments) {
      if (page.isFull) break;
      events += Math.max(1, segment.last - segment.first + 1);
      size += segment.size;
      before = segment.first;
      try {
        page.add(segment);
        after = segment.last;
      } catch (error) {
        skip(error);
        // Its last number may be what is damaged.
        after = segment.first;
      }
    }
    const isEnd = segments.length === 0 || (events < wanted && size <= PAGE_BYTES);
    if (isEnd || from === (descending ? before : after)) break;
    // The session may be forgotten meanwhile, and begin another log.
    log = segments[0]?.log;
    if (descending) after = range.after;
    else before = range.before;
  }
  return page.events;
}

class Page {
  readonly events: EventEntry[] = [];
  isFull: boolean;
  readonly #query: EventQuery;
  readonly #limit: number;
  #size = 0;

  constructor(query: EventQuery, limit: number) {
    this.#query = query;
    this.#limit = limit;
    this.isFull = limit === 0;
  }

  add(segment: PageSegment): void {
    const { session, types, turn } = this.#query;
    const { after, before, descending } = rangeOf(this.#query);
    const events = [...eventsOfSegment(session, segment, segment.read())];
    // Few segments are so large that the page may end within them.
    const mayExceed = this.#size + segment.size > PAGE_BYTES;
    if (!mayExceed) this.#size += segment.size;
    for (const event of descending ? events.reverse() : events) {
      if (event.number <= after || event.number >= before) continue;
      if (turn !== undefined && event.turn !== turn) continue;
      if (types !== undefined && !types.includes(event.type)) continue;
      if (mayExceed) this.#size += Buffer.byteLength(JSON.stringify(event.body));
      this.isFull = this.events.length === this.#limit || (this.events.length > 0 && this.#size > PAGE_BYTES);
      if (this.isFull) return;
      this.events.push(event);
    }
    this.isFull = this.events.length === this.#limit;
  }
}
