import type { Handover } from "../journal/handover/handover.ts";
import type { FarSession } from "../session/far-session.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SupervisorDeliveries } from "./supervisor-deliveries.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import type { SessionTable } from "./tree/session-table.ts";
import type { Tree } from "./tree/tree.ts";

/** The sessions of a supervisor in the next process of the application, once that has them. */
export interface Elsewhere {
  /** Whether the sessions belong to another process, or are about to. */
  readonly isAway: boolean;
  /** Resolves once another process has the journal and all sessions. */
  readonly over: Promise<void>;
  /** Returns the session in the process that has it, if it has left this one. */
  far(server: SessionServer): FarSession | undefined;
  /** Resolves once no caller here follows a turn of another process. */
  finished(): Promise<void>;
  close(): Promise<void>;
}

/** What the hand-over of a supervisor's sessions needs of it. */
export interface HandoverNeeds {
  readonly handover: Handover;
  readonly name: string;
  readonly tree: Tree;
  readonly sessions: SessionTable;
  readonly journal: SupervisorJournal;
  readonly deliveries: SupervisorDeliveries;
  readonly deps: SupervisorDeps;
}
