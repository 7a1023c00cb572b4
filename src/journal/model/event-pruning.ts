import type { EventRetention } from "./event-entry.ts";

/** The log of a session, as pruning sees it. */
export interface PrunableLog {
  /** As text: it may exceed JavaScript's integers. Rises from log to log. */
  readonly id: string;
  /** The first event; undefined if the log has none. */
  readonly first: Omit<PrunableEvent, "endOffset"> | undefined;
  /** The number of bytes before the first event. */
  readonly startOffset: number;
  /** Number and end offset of the last event. */
  readonly number: number;
  readonly endOffset: number;
}

/** An event, as pruning sees it. */
export interface PrunableEvent {
  readonly number: number;
  readonly at: number;
  /** The number of bytes of all events of the log up to this one. */
  readonly endOffset: number;
}

/** The events of a database. */
export interface PrunableEvents {
  /** Returns some logs with higher ids, in order; none at the end. */
  logs(afterId: string): Promise<readonly PrunableLog[]>;
  /** Returns up to `EVENTS_CHUNK` events with the lowest numbers, in order. */
  oldest(log: PrunableLog): Promise<readonly PrunableEvent[]>;
  /**
   * Deletes the events up to this one, and the contents of no others, in one transaction. Resolves with false if
   * another application is deleting events of this log.
   */
  deleteUpTo(log: PrunableLog, last: PrunableEvent): Promise<boolean>;
}

/** Number of events per transaction, so that other writes wait only briefly. */
export const EVENTS_CHUNK = 200;

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
  // Most logs have nothing to delete, which their first event shows.
  if (log.first === undefined || isKept(log.first, log.startOffset, log, retention)) return;
  for (let start = log.startOffset; ; ) {
    const oldest = await events.oldest(log);
    const kept = oldest.findIndex((event, index) => {
      return isKept(event, oldest[index - 1]?.endOffset ?? start, log, retention);
    });
    const last = oldest.at(kept === -1 ? -1 : kept - 1);
    if (last === undefined || kept === 0) return;
    if (!(await events.deleteUpTo(log, last))) return;
    if (kept !== -1 || oldest.length < EVENTS_CHUNK) return;
    start = last.endOffset;
  }
}

/** Whether an event that begins at `start` is kept. */
function isKept(
  { number, at }: Omit<PrunableEvent, "endOffset">,
  start: number,
  log: PrunableLog,
  { since, perSession, bytesPerSession }: EventRetention,
): boolean {
  return at >= since && log.number - number < perSession && log.endOffset - start <= bytesPerSession;
}
