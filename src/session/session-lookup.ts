import type { FoundSession, SessionOwner, SessionSource } from "./session.ts";
import type { SessionServer } from "./session-server.ts";

/** Finds the session of a handle. An evicted session is looked up again by its name. */
export class SessionLookup implements SessionSource {
  #found: FoundSession;

  constructor(found: FoundSession) {
    this.#found = found;
  }

  get server(): SessionServer {
    return this.#now.server;
  }

  get owner(): SessionOwner {
    return this.#now.owner;
  }

  /** Resolves once the session has ended for good. Does not bring an evicted session back. */
  get closed(): Promise<void> {
    return this.#found.owner.closed();
  }

  get #now(): FoundSession {
    const { server, owner } = this.#found;
    if (server.isEvicted) this.#found = owner.find() ?? this.#found;
    return this.#found;
  }
}
