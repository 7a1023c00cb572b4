import type { Capacity } from "../capacity/capacity.ts";
import type { PendingRequests } from "./pending-requests.ts";
import type { SessionJournal } from "./persistence/session-journal.ts";
import type { SessionProcess } from "./process/session-process.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";

/**
 * What a touch found or did. `ready`: the session has its process. `starting`: a process is about to start, or starts. `full`: none
 * starts, because all slots are taken and none of their holders is idle. `archived`: none starts, because that would end the archiving.
 */
export type Touched = "ready" | "starting" | "full" | "archived";

/** How long a touched session waits for its life to begin and for an idle holder to leave its slot, in milliseconds. */
const WAIT_MS = 5_000;

/** The session that is touched. */
interface TouchedSession {
  readonly process: Pick<SessionProcess, "state" | "checkIdle">;
  readonly journal: SessionJournal;
  readonly dispatcher: Pick<Dispatcher, "wanting">;
  readonly requests: PendingRequests;
  /** Runs `work` with a process, waiting for one if necessary. */
  withProcess(what: string, limitMs: number, work: () => Promise<void>): Promise<void>;
}

/** Starts a session's process ahead of a turn that may never come. */
export class Touching {
  readonly #session: TouchedSession;
  readonly #capacity: Capacity;
  /** Whether a touched process is awaited at this moment. */
  #pending = false;

  constructor(session: TouchedSession, capacity: Capacity) {
    this.#session = session;
    this.#capacity = capacity;
  }

  /** Whether nothing but a touch wants a process. */
  get isAlone(): boolean {
    return this.#pending && this.#session.requests.count === 1 && !this.#session.dispatcher.wanting;
  }

  /** Begins the start of a process, if the session has none and can have one soon. The session must be restored. */
  touch(): Touched {
    const { process, journal } = this.#session;
    if (process.state === "up") {
      process.checkIdle(true);
      return "ready";
    }
    if (journal.description.isArchived) return "archived";
    if (this.#pending) return "starting";
    switch (process.state) {
      case "queued":
        // A turn or a control waits already.
        return "full";
      case "starting":
      case "replacing":
        return "starting";
      case "hibernating":
        // Its own slot is about to be free.
        break;
      default:
        if (!this.#capacity.offers) return "full";
    }
    void this.#start();
    return "starting";
  }

  async #start(): Promise<void> {
    this.#pending = true;
    // Nobody waits for it. Whatever prevents the start is reported to the next turn.
    await this.#session.withProcess("touch", WAIT_MS, async () => {}).catch(() => {});
    this.#pending = false;
  }
}
