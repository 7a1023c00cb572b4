import type { Clock } from "../../clock.ts";
import type { SessionFacts } from "../../events.ts";
import type { SessionSettings } from "../options/session-settings.ts";
import type { SessionJournal } from "../persistence/session-journal.ts";

export interface SessionDeps {
  readonly clock: Clock;
  /** Returns a new UUID. */
  readonly newId: () => string;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
}

/** What every part of a session may read at any time. Only the core changes it. */
export interface SessionContext extends SessionDeps {
  /** Names the session in messages. */
  readonly who: string;
  /** The current settings. */
  readonly settings: SessionSettings;
  /** Records the session's changes. */
  readonly journal: SessionJournal;
}

/** Returns the fields that every event about the session carries. */
export function factsOf({ settings, journal }: SessionContext): SessionFacts {
  return { session: settings.name, supervisor: journal.supervisor };
}
