import type { FarSession } from "./far-session.ts";
import type { FoundSession, SessionOwner, SessionSource } from "./session.ts";
import type { SessionServer } from "./session-server.ts";

/** Finds the session of a handle. An evicted session is looked up again by its name. */
export class SessionLookup implements SessionSource {
  #server: SessionServer;
  #owner: SessionOwner;

  constructor({ server, owner }: FoundSession) {
    this.#server = server;
    this.#owner = owner;
  }

  get server(): SessionServer {
    this.#lookUp();
    return this.#server;
  }

  get owner(): SessionOwner {
    this.#lookUp();
    return this.#owner;
  }

  /** The session in the next process of the application, if that has it. */
  get far(): FarSession | undefined {
    return this.owner.far?.();
  }

  /** Resolves once the session has ended for good. Does not bring an evicted session back. */
  get closed(): Promise<void> {
    return this.#owner.closed();
  }

  #lookUp(): void {
    const found = this.#server.isEvicted ? this.#owner.find() : undefined;
    if (found === undefined) return;
    this.#server = found.server;
    this.#owner = found.owner;
  }
}
