import type { Change } from "../../journal/model/change.ts";
import type { EventAppended } from "../record/session-record.ts";

/** What brings events of sessions to receivers outside the application. */
export interface EventDelivery {
  /** Called with events that have their numbers. Returns what to write with them; undefined if no receiver wants them. */
  due(session: string, events: readonly EventAppended[]): DueDelivery | undefined;
  /** Continues what another application may have left undelivered of these sessions. */
  restored(sessions: readonly string[]): void;
  /** Ends the deliveries of a session, because the session moves or is erased. Writes nothing more about it. */
  leave(session: string): void;
}

/** Events that a receiver wants. */
export interface DueDelivery {
  /** The changes to write in the batch of the events, before them. */
  readonly changes: readonly Change[];
  /** Tells whether the journal has them. */
  settled(isWritten: boolean): void;
}
