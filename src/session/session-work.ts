import type { SessionView } from "./context/session-view.ts";
import type { PendingRequests } from "./pending-requests.ts";
import type { ProcessOutput } from "./process/process-output.ts";
import type { ProcessSession } from "./process/process-session.ts";
import type { Recovery } from "./recovery.ts";
import type { SessionState } from "./status/session-state.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";

/** The parts of a session that need its process. */
interface WorkingSession {
  readonly dispatcher: Dispatcher;
  readonly output: ProcessOutput;
  readonly recovery: Recovery;
  readonly requests: PendingRequests;
  readonly view: SessionView;
  readonly state: SessionState;
  readonly between: boolean;
  readonly hasEnded: boolean;
  readonly wanted: boolean;
  /** Whether nothing but a touch wants a process. */
  readonly isOnlyTouched: boolean;
}

/** What a session has for its process to do. */
export class SessionWork implements ProcessSession {
  readonly #session: WorkingSession;

  constructor(session: WorkingSession) {
    this.#session = session;
  }

  get free(): boolean {
    return this.#session.between && this.#session.output.wakeups.length === 0;
  }

  get turnsWait(): boolean {
    return this.#session.dispatcher.waiting > 0;
  }

  get ahead(): boolean {
    return this.#session.isOnlyTouched;
  }

  get resumes(): boolean {
    return this.#session.dispatcher.resumes && !this.#session.requests.any;
  }

  get wanted(): boolean {
    return this.#session.wanted && this.#session.state.name === "hibernated";
  }

  get at(): ProcessSession["at"] {
    const { dispatcher, view } = this.#session;
    return dispatcher.busy ? "turn" : view.hasBackgroundWork ? "background task" : undefined;
  }

  get work(): ProcessSession["work"] {
    return this.#session.dispatcher.work;
  }

  get hasEnded(): boolean {
    return this.#session.hasEnded;
  }

  async resume(): Promise<void> {
    await this.#session.recovery.resume();
  }
}
