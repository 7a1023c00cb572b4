import type { LogCut, PrunableEvents, PrunableLog, PrunableSegment } from "../model/event-pruning.ts";
import { sizedEventsOfSegment } from "../model/event-segment.ts";
import { fromText } from "../model/stored-text.ts";
import { segmentRow } from "./sqlite-event-heads.ts";
import { EVENT_SQL } from "./sqlite-event-statements.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import { DamagedRow, segmentOf } from "./sqlite-rows.ts";

/** The file to prune. */
interface PrunableFile {
  /** How many rows the next transaction may delete. */
  readonly rows: () => number;
  all(sql: string, ...parameters: (string | number)[]): Promise<readonly Row[]>;
  /** Runs statements in one transaction. */
  change(steps: readonly Step[]): Promise<unknown>;
}

/** Returns the events of a file for pruning. */
export function prunableEvents({ rows, all, change }: PrunableFile): PrunableEvents {
  return {
    get chunk() {
      return rows();
    },
    logs: async (afterId) => (await all(EVENT_SQL.logs, Number(afterId))).map(logOf),
    oldest: async ({ id }, limit) => (await all(EVENT_SQL.oldest, Number(id), limit)).map(prunableSegmentOf),
    events: async ({ id, session }, { first }) => {
      const [row] = await all(EVENT_SQL.segment, Number(id), first);
      if (row === undefined) return undefined;
      try {
        const segment = segmentOf(session, row);
        return sizedEventsOfSegment(session, segment, segment.read());
      } catch (error) {
        if (error instanceof DamagedRow) return undefined;
        throw error;
      }
    },
    cut: async (log, cut) => {
      await change(cutting(log, cut));
      return true;
    },
  };
}

function cutting({ id }: PrunableLog, { upTo: { number, offset }, rest }: LogCut): Step[] {
  const log = Number(id);
  const row = rest && segmentRow(log, rest.segment, rest.of.endOffset);
  return [
    { sql: EVENT_SQL.pruneContents, parameters: [log, number] },
    { sql: EVENT_SQL.pruneReferences, parameters: [log, number] },
    { sql: EVENT_SQL.pruneEvents, parameters: [log, number, number] },
    ...(row === undefined || rest === undefined
      ? []
      : [{ sql: EVENT_SQL.cut, parameters: [...row.slice(1), log, rest.of.first] }]),
    { sql: EVENT_SQL.markPruned, parameters: [number, offset, number, offset, log, number] },
  ];
}

function logOf(row: Row): PrunableLog {
  return {
    id: String(row["id"]),
    session: fromText(String(row["session"])),
    pruned: { number: Number(row["pruned_number"]), offset: Number(row["pruned_offset"]) },
    first: row["first"] === null ? undefined : prunableSegmentOf(row),
    end:
      row["end_number"] === null ? undefined : { number: Number(row["end_number"]), offset: Number(row["end_of_log"]) },
  };
}

function prunableSegmentOf(row: Row): PrunableSegment {
  return {
    first: Number(row["first"]),
    last: Number(row["last"]),
    earliest: Number(row["earliest"]),
    latest: Number(row["latest"]),
    endOffset: Number(row["end_offset"]),
  };
}
