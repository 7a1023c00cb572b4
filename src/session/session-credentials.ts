import type { SessionProcess } from "./process/session-process.ts";
import type { SessionState } from "./status/session-state.ts";

/** The session that has the credentials. */
interface KeyedSession {
  readonly process: SessionProcess;
  readonly state: SessionState;
  /** Resolves once the process is up, or none will start. */
  settled(): Promise<unknown>;
}

/** The credentials of a session's process, compared with those that are available now. */
export class SessionCredentials {
  readonly #session: KeyedSession;

  constructor(session: KeyedSession) {
    this.#session = session;
  }

  /** Whether the session is quarantined because of its credentials and different ones are available now. */
  get mayEndQuarantine(): boolean {
    const { state, process } = this.#session;
    const isRefused = state.name === "quarantined" && state.lastExits.at(-1)?.class === "auth";
    return isRefused && process.key.changed;
  }

  /** Replaces a process with these credentials, which the API refuses, if different ones are available. */
  refused(credentials: string): void {
    this.#session.process.keyRefused(credentials);
  }

  /**
   * Replaces a process whose credentials are outdated once it is idle. Resolves once none is left, with whether there
   * was one.
   *
   * @throws CastellanError `START_FAILED` if no credentials are available; the process then continues
   */
  async renewed(): Promise<boolean> {
    return await this.#session.process.rekeyed(() => this.#session.settled());
  }
}
