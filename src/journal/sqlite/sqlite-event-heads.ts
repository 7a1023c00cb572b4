import type { Change } from "../model/change.ts";
import { type AppendedEvent, bytesOf, contentsOf, namedBy, requireNumber } from "../model/event-entry.ts";
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
    const sessions = new Set(
      changes.flatMap((change) => (change.type === "event_appended" ? change.event.session : [])),
    );
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
      if (head !== undefined) this.#heads.set(session, head);
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

/** The heads during a batch. */
export class EventBatch {
  readonly #before: ReadonlyMap<string, Head>;
  /** The heads that the batch has changed; undefined if the log is gone. */
  readonly heads: Map<string, Head | undefined> = new Map();
  readonly #newId: () => number;

  constructor(before: ReadonlyMap<string, Head>, newId: () => number) {
    this.#before = before;
    this.#newId = newId;
  }

  /** Returns the statements that append an event. @throws RangeError */
  append(appended: AppendedEvent): Step[] {
    const { event } = appended;
    requireNumber(event);
    const [session, body] = [toText(event.session), JSON.stringify(event.body)];
    const head = this.heads.has(event.session) ? this.heads.get(event.session) : this.#before.get(event.session);
    const { id, number, endOffset } = head ?? { id: this.#newId(), number: 0, endOffset: 0 };
    if (event.number <= number) return [];
    const brought = contentsOf(appended);
    const next = { id, number: event.number, endOffset: endOffset + bytesOf(body, brought) };
    this.heads.set(event.session, next);
    const names = namedBy(event).map(toText);
    const columns = [
      event.at,
      toText(event.type),
      event.turn === undefined ? null : toText(event.turn),
      next.endOffset,
      names.length === 0 ? null : JSON.stringify(names),
    ];
    const checksum = checksumOf(id, event.number, ...columns, checksumOf(body));
    return [
      ...(head === undefined ? [beginning(id, session)] : []),
      { sql: EVENT_SQL.append, parameters: [id, event.number, ...columns, checksum, body] },
      ...names.map((hash) => ({ sql: EVENT_SQL.refer, parameters: [hash, id, event.number] })),
      ...brought.map(({ hash, mediaType, data }) => {
        const values = [toText(hash), mediaType === undefined ? null : toText(mediaType)];
        return { sql: EVENT_SQL.storeContent, parameters: [...values, checksumOf(...values, data), data] };
      }),
    ];
  }

  /** Returns the statements that delete the log of a session, its events, and the contents of no other events. */
  forget(session: string): Step[] {
    this.heads.set(session, undefined);
    const names = ["forgetContents", "forgetReferences", "forgetEvents", "forgetLog"] as const;
    return names.map((name) => ({ sql: EVENT_SQL[name], parameters: [toText(session)] }));
  }
}

function beginning(id: number, session: string): Step {
  return { sql: EVENT_SQL.beginLog, parameters: [id, session, checksumOf(id, session, 0, 0)] };
}

/** A damaged log is appended to all the same: reading it reports the damage. */
function headOf(row: Row): Head {
  return { id: Number(row["id"]), number: Number(row["number"]), endOffset: Number(row["end_offset"]) };
}
