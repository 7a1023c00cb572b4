import type { SQLInputValue } from "node:sqlite";
import type { Change } from "../model/change.ts";
import { type AppendedEvent, contentsOf, namedBy, requireStorable } from "../model/event-entry.ts";
import { type EventSegment, SegmentBuilder } from "../model/event-segment.ts";
import { fromText, toText } from "../model/stored-text.ts";
import { checksumOf } from "./sqlite-checksum.ts";
import { EVENT_SQL } from "./sqlite-event-statements.ts";
import type { Row, Step } from "./sqlite-messages.ts";

/** The end of a session's log: where the next event goes. */
interface Head {
  /** Id of the log. */
  readonly id: number;
  /** Number and end offset of the last event. */
  readonly number: number;
  readonly endOffset: number;
}

/** How many heads to remember. */
const MOST_HEADS = 2_000;

/**
 * The ends of the logs that were written last. The owner of a file is its only writer, so they need not be read again,
 * and an append is a plain insert: a quarter of the time of one that looks for the end.
 */
export class EventHeads {
  /** Least recently used first. */
  readonly #heads = new Map<string, Head>();
  /** Id of the next log; 0 if it has to be read. */
  #nextId = 0;

  /** Begins a batch. Reads the heads that it needs and that are not known. */
  async begin(
    changes: readonly Change[],
    all: (sql: string, ...parameters: string[]) => Promise<readonly Row[]>,
  ): Promise<EventBatch> {
    const sessions = new Set<string>();
    for (const change of changes) if (change.type === "event_appended") sessions.add(change.event.session);
    const unknown = [...sessions].filter((session) => !this.#heads.has(session));
    if (unknown.length > 0) {
      for (const row of await all(EVENT_SQL.heads, JSON.stringify(unknown.map(toText)))) {
        this.#heads.set(fromText(String(row["session"])), headOf(row));
      }
    }
    // A log that the batch itself deletes may begin anew.
    if (sessions.size > 0 && this.#nextId === 0) this.#nextId = Number((await all(EVENT_SQL.nextLog))[0]?.["id"]);
    return new EventBatch(this.#heads, () => this.#nextId++);
  }

  /** Takes over the heads after a batch. */
  end({ heads }: EventBatch): void {
    for (const [session, head] of heads) {
      this.#heads.delete(session);
      if (head === undefined) continue;
      const { id, number, endOffset } = head;
      this.#heads.set(session, { id, number, endOffset });
    }
    for (const session of this.#heads.keys()) {
      if (this.#heads.size <= MOST_HEADS) break;
      this.#heads.delete(session);
    }
  }

  /** Forgets all heads: a batch failed, and may have been applied. */
  clear(): void {
    this.#heads.clear();
    this.#nextId = 0;
  }
}

/** A log that a batch appends to: its end, and the statements for the events so far. */
interface OpenLog {
  readonly id: number;
  number: number;
  endOffset: number;
  /** Takes the next event. */
  segment: SegmentBuilder;
  readonly steps: Step[];
}

/** The events of a batch, and the heads that they change. */
export class EventBatch {
  readonly #before: ReadonlyMap<string, Head>;
  /** The logs that the batch changes; undefined if it deletes them. */
  readonly #logs = new Map<string, OpenLog | undefined>();
  readonly #newId: () => number;

  constructor(before: ReadonlyMap<string, Head>, newId: () => number) {
    this.#before = before;
    this.#newId = newId;
  }

  /** The ends of the changed logs after the batch; undefined if the log is gone. */
  get heads(): ReadonlyMap<string, Head | undefined> {
    return this.#logs;
  }

  /** Appends an event. @throws RangeError */
  append(appended: AppendedEvent): void {
    const { event } = appended;
    requireStorable(event);
    const log = this.#logs.get(event.session) ?? this.#open(event.session);
    if (event.number <= log.number) return;
    if (!log.segment.takes(event)) endSegment(log);
    const brought = contentsOf(appended);
    log.number = event.number;
    log.endOffset += log.segment.add(event, brought);
    for (const hash of namedBy(event)) {
      log.steps.push({ sql: EVENT_SQL.refer, parameters: [toText(hash), log.id, event.number] });
    }
    for (const { hash, mediaType, data } of brought) {
      const values = [toText(hash), mediaType === undefined ? null : toText(mediaType)];
      log.steps.push({ sql: EVENT_SQL.storeContent, parameters: [...values, checksumOf(...values, data), data] });
    }
  }

  /** Returns the statements that delete the log of a session, its events, and the contents of no other events. */
  forget(session: string): Step[] {
    this.#logs.set(session, undefined);
    const names = ["forgetContents", "forgetReferences", "forgetEvents", "forgetLog"] as const;
    return names.map((name) => ({ sql: EVENT_SQL[name], parameters: [toText(session)] }));
  }

  /** Returns the statements that append the events. */
  end(): Step[] {
    return [...this.#logs.values()].flatMap((log) => {
      if (log === undefined) return [];
      endSegment(log);
      return log.steps;
    });
  }

  #open(session: string): OpenLog {
    const isForgotten = this.#logs.has(session);
    const head = isForgotten ? undefined : this.#before.get(session);
    const log: OpenLog = {
      ...(head ?? { id: this.#newId(), number: 0, endOffset: 0 }),
      segment: new SegmentBuilder(),
      steps: [],
    };
    if (head === undefined) {
      const values = [log.id, toText(session)];
      log.steps.push({ sql: EVENT_SQL.beginLog, parameters: [...values, checksumOf(...values, 0, 0)] });
    }
    this.#logs.set(session, log);
    return log;
  }
}

/** Adds the statement that stores the segment. */
function endSegment(log: OpenLog): void {
  if (log.segment.isEmpty) return;
  log.steps.push({ sql: EVENT_SQL.append, parameters: segmentRow(log.id, log.segment.build(), log.endOffset) });
  log.segment = new SegmentBuilder();
}

/** Returns the row of a segment, see `COLUMNS` of the statements. */
export function segmentRow(log: number, segment: EventSegment, endOffset: number): SQLInputValue[] {
  const { first, last, earliest, latest, turn, types, body } = segment;
  const values = [log, first, last, earliest, latest, turn === undefined ? null : toText(turn), types, endOffset];
  return [...values, checksumOf(...values, checksumOf(body)), body];
}

/** A damaged log is appended to all the same: reading it reports the damage. */
function headOf(row: Row): Head {
  return { id: Number(row["id"]), number: Number(row["number"]), endOffset: Number(row["end_offset"]) };
}
