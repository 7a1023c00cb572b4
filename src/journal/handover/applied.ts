import type { Batch, Change } from "../model/change.ts";
import type { Journal } from "../model/journal.ts";

/**
 * Whether a journal has a batch that another application may have written before it died. A batch is written as a whole,
 * so one change that leaves a trace decides. Without any, the changes have no effect the second time; spending has, and
 * always comes with its event.
 */
export async function wasApplied({ changes }: Batch, journal: Journal): Promise<boolean> {
  for (const change of changes) {
    const found = await traceOf(change, journal);
    if (found !== undefined) return found;
  }
  return false;
}

/** Whether the journal has this change; undefined if that leaves no trace of its own. */
async function traceOf(change: Change, journal: Journal): Promise<boolean | undefined> {
  switch (change.type) {
    case "event_appended": {
      const { session, number } = change.event;
      return ((await journal.eventExtent(session))?.last ?? 0) >= number;
    }
    case "turn_accepted":
      return (await journal.turn(change.turn.id)) !== undefined;
    case "turn_ended": {
      const turn = await journal.turn(change.turn);
      return turn === undefined || (turn.state !== "queued" && turn.state !== "running");
    }
    case "transcript_appended": {
      const { part } = change;
      const heads = (await journal.transcripts?.of(part.conversationId)) ?? [];
      const head = heads.find(({ subpath }) => subpath === part.subpath);
      return part.lastUuid === undefined ? undefined : head?.lastUuid === part.lastUuid;
    }
    default:
      return undefined;
  }
}
