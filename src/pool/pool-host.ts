import type { Clock } from "../clock.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { Joining } from "./member.ts";

/** What a pool needs of the tree that contains it. */
export interface PoolHost {
  readonly clock: Clock;
  readonly newId: () => string;
  /** Returns a number from 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  readonly journal: SupervisorJournal;
  /** Returns the settings of the member with this index. */
  settings(index: number): SessionSettings;
  /** Adds a session as a member and takes its name. @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` */
  add(index: number): Joining;
  /** Stops a member. Resolves once its process is gone. */
  remove(server: SessionServer): Promise<void>;
  /** Gives a member other settings from its next process on. */
  reconfigure(server: SessionServer, settings: SessionSettings): void;
  /** Whether the tree still contains this session, and not another one of its name. */
  holds(server: SessionServer): boolean;
}
