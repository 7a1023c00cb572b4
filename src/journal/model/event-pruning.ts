import type { EventRetention } from "./event-entry.ts";
import { type EventSegment, SegmentBuilder, type SegmentEvent } from "./event-segment.ts";

/** A place in a log: the number of an event, and the number of bytes of all events of the log up to it. */
export interface LogPlace {
  readonly number: number;
  readonly offset: number;
}

/** The log of a session, as pruning sees it. */
export interface PrunableLog {
  /** As text: it may exceed JavaScript's integers. Rises from log to log. */
  readonly id: string;
  readonly session: string;
  /** The last deleted event. */
  readonly pruned: LogPlace;
  /** The first segment, and the last event; undefined if the log has none. */
  readonly first: PrunableSegment | undefined;
  readonly end: LogPlace | undefined;
}

/** A segment, as pruning sees it. */
export interface PrunableSegment extends Pick<EventSegment, "first" | "last" | "earliest" | "latest"> {
  /** The number of bytes of all events of the log up to this segment's last one. */
  readonly endOffset: number;
}

/** Where to cut a log. */
export interface LogCut {
  /** The last event to delete, and the last one that was deleted before. */
  readonly upTo: LogPlace;
  readonly after: LogPlace;
  /** What remains of the segment that has the last event to delete, if it has later ones, too. */
  readonly rest?: { readonly of: PrunableSegment; readonly segment: EventSegment };
}

/** The events of a database. */
export interface PrunableEvents {
  /** Returns some logs with higher ids, in order; none at the end. */
  logs(afterId: string): Promise<readonly PrunableLog[]>;
  /** How many segments to delete in the next transaction. */
  readonly chunk: number;
  /** Returns up to `limit` segments with the lowest numbers, in order. */
  oldest(log: PrunableLog, limit: number): Promise<readonly PrunableSegment[]>;
  /** Returns the events of a segment; undefined if they cannot be read. */
  events(log: PrunableLog, segment: PrunableSegment): Promise<readonly SegmentEvent[] | undefined>;
  /**
   * Deletes the events before the cut, and the contents of no others, in one transaction. Resolves with false if another
   * application is deleting events of this log.
   */
  cut(log: PrunableLog, cut: LogCut): Promise<boolean>;
}

/** How many logs to return at a time. */
export const LOGS_CHUNK = 100;

/** Deletes the events that need not be kept. */
export async function pruneEvents(events: PrunableEvents, retention: EventRetention): Promise<void> {
  for (let id = "0"; ; ) {
    const logs = await events.logs(id);
    for (const log of logs) await pruneLog(events, log, retention);
    const last = logs.at(-1);
    if (last === undefined) return;
    id = last.id;
  }
}

async function pruneLog(events: PrunableEvents, log: PrunableLog, retention: EventRetention): Promise<void> {
  const { first, end } = log;
  if (first === undefined || end === undefined) return;
  const reach = new Reach(end, retention);
  let after = log.pruned;
  // Most logs have nothing to delete, which their first segment shows.
  if (reach.startsKept(first, after.offset)) return;
  for (;;) {
    const { chunk } = events;
    const segments = await events.oldest(log, chunk);
    let upTo = after;
    let isEnd = segments.length < chunk;
    let rest: LogCut["rest"];
    for (const segment of segments) {
      const within = await cutWithin(events, log, segment, upTo.offset, reach);
      if (within !== "all") {
        isEnd = true;
        if (within === "none") break;
        upTo = within.upTo;
        rest = { of: segment, segment: within.rest };
        break;
      }
      upTo = { number: segment.last, offset: segment.endOffset };
    }
    if (upTo === after || !(await events.cut(log, { upTo, after, ...(rest && { rest }) })) || isEnd) return;
    after = upTo;
  }
}

/** Returns where to cut a segment that begins at `start`. */
async function cutWithin(
  events: PrunableEvents,
  log: PrunableLog,
  segment: PrunableSegment,
  start: number,
  reach: Reach,
): Promise<"all" | "none" | { readonly upTo: LogPlace; readonly rest: EventSegment }> {
  if (reach.passes(segment)) return "all";
  if (reach.startsKept(segment, start)) return "none";
  const all = await events.events(log, segment);
  let offset = start;
  for (const [index, { event, bytes }] of all?.entries() ?? []) {
    if (reach.keeps(event, offset)) {
      if (index === 0) return "none";
      const rest = new SegmentBuilder();
      for (const kept of all?.slice(index) ?? []) rest.copy(kept);
      return { upTo: { number: event.number - 1, offset }, rest: rest.build() };
    }
    offset += bytes;
  }
  return all === undefined ? "none" : "all";
}

/** How far back the events of a log are kept. */
class Reach {
  readonly #end: LogPlace;
  readonly #retention: EventRetention;

  /** @param end the last event */
  constructor(end: LogPlace, retention: EventRetention) {
    this.#end = end;
    this.#retention = retention;
  }

  /** Whether an event that begins at `start` is kept. */
  keeps({ number, at }: { readonly number: number; readonly at: number }, start: number): boolean {
    const { since, perSession, bytesPerSession } = this.#retention;
    return at >= since && this.#end.number - number < perSession && this.#end.offset - start <= bytesPerSession;
  }

  /** Whether the first event of a segment that begins at `start` is kept for sure. */
  startsKept({ first, earliest }: PrunableSegment, start: number): boolean {
    return this.keeps({ number: first, at: earliest }, start);
  }

  /** Whether no event of a segment is kept for sure. */
  passes({ last, latest, endOffset }: PrunableSegment): boolean {
    const { since, perSession, bytesPerSession } = this.#retention;
    return latest < since || this.#end.number - last >= perSession || this.#end.offset - endOffset >= bytesPerSession;
  }
}
