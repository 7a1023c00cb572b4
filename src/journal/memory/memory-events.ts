import {
  type AppendedEvent,
  bytesOf,
  contentsOf,
  type EventEntry,
  type EventExtent,
  type EventQuery,
  type EventRetention,
  namedBy,
  PAGE_BYTES,
  rangeOf,
} from "../model/event-entry.ts";
import type { MemoryContents } from "./memory-contents.ts";

interface StoredEvent {
  readonly event: Omit<EventEntry, "body">;
  /** As JSON. */
  readonly body: string;
  /** Size of the body and the contents. */
  readonly bytes: number;
}

/** The events of a session, by number, and the number of the last one. */
interface EventLog {
  events: StoredEvent[];
  last: number;
  bytes: number;
}

/** How many bytes of events to keep per session, whatever the retention: memory is scarcer than disks. */
const MOST_BYTES = 32 * 1024 * 1024;

/** The events of all sessions in memory. */
export class MemoryEvents {
  readonly #logs = new Map<string, EventLog>();
  readonly #contents: MemoryContents;

  constructor(contents: MemoryContents) {
    this.#contents = contents;
  }

  append(appended: AppendedEvent): void {
    const { event } = appended;
    const log = this.#logs.get(event.session) ?? { events: [], last: 0, bytes: 0 };
    if (event.number <= log.last) return;
    const names = namedBy(event);
    const contents = contentsOf(appended);
    const body = JSON.stringify(event.body);
    const { session, number, at, type, turn } = event;
    const stored = {
      session,
      number,
      at,
      type,
      ...(turn !== undefined && { turn }),
      ...(names.length > 0 && { contents: names }),
    };
    const bytes = bytesOf(body, contents);
    log.events.push({ event: stored, body, bytes });
    log.last = event.number;
    log.bytes += bytes;
    this.#logs.set(event.session, log);
    this.#contents.add(session, names, contents);
    if (log.bytes > MOST_BYTES) this.#drop(log);
  }

  /** Drops the oldest events beyond the limit, and an eighth more, so that the cost per event stays constant. */
  #drop(log: EventLog): void {
    let count = 0;
    for (const { bytes } of log.events.slice(0, -1)) {
      if (log.bytes <= (MOST_BYTES / 8) * 7) break;
      log.bytes -= bytes;
      count += 1;
    }
    this.#release(log.events.splice(0, count));
  }

  forget(session: string): void {
    this.#release(this.#logs.get(session)?.events ?? []);
    this.#logs.delete(session);
  }

  page(query: EventQuery): EventEntry[] {
    const { after, before, descending, limit } = rangeOf(query);
    const { turn, types } = query;
    const all = this.#logs.get(query.session)?.events ?? [];
    const range = all.slice(indexAfter(all, after), indexAfter(all, before - 1));
    const page: EventEntry[] = [];
    let bytes = 0;
    for (const stored of descending ? range.reverse() : range) {
      if (turn !== undefined && stored.event.turn !== turn) continue;
      if (types !== undefined && !types.includes(stored.event.type)) continue;
      bytes += Buffer.byteLength(stored.body);
      if (page.length === limit || (page.length > 0 && bytes > PAGE_BYTES)) break;
      page.push({ ...stored.event, body: JSON.parse(stored.body) });
    }
    return page;
  }

  extent(session: string): EventExtent | undefined {
    const log = this.#logs.get(session);
    return log && { first: log.events[0]?.event.number ?? log.last + 1, last: log.last, bytes: log.bytes };
  }

  count(session: string): number {
    return this.#logs.get(session)?.events.length ?? 0;
  }

  prune({ since, perSession, bytesPerSession }: EventRetention): void {
    for (const log of this.#logs.values()) {
      let bytes = log.bytes;
      const kept = log.events.findIndex((stored) => {
        const { at, number } = stored.event;
        const isKept = at >= since && log.last - number < perSession && bytes <= bytesPerSession;
        if (!isKept) bytes -= stored.bytes;
        return isKept;
      });
      this.#release(log.events.splice(0, kept === -1 ? log.events.length : kept));
      log.bytes = bytes;
    }
  }

  #release(events: readonly StoredEvent[]): void {
    for (const { event } of events) this.#contents.release(event.session, namedBy(event));
  }
}

/** Returns the index of the first event with a number above `number`. */
function indexAfter(events: readonly StoredEvent[], number: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((events[middle]?.event.number ?? 0) <= number) low = middle + 1;
    else high = middle;
  }
  return low;
}
