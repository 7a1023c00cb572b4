import type { Clock } from "../../clock.ts";
import type { SessionFacts } from "../../events.ts";
import type { SessionSettings } from "../options/session-settings.ts";
import type { SessionJournal } from "../persistence/session-journal.ts";

export interface SessionDeps {
  readonly clock: Clock;
  /** A new UUID. */
  readonly newId: () => string;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
}

/** What every part of a session may read at any time. Only the core changes it. */
export interface SessionContext extends SessionDeps {
  /** The session, for messages. */
  readonly who: string;
  /** The settings as they are at this moment. */
  readonly settings: SessionSettings;
  /** What the session writes down. */
  readonly journal: SessionJournal;
}

/** What each event about the session says of it. */
export function factsOf({ settings, journal }: SessionContext): SessionFacts {
  return { session: settings.name, supervisor: journal.supervisor };
}
