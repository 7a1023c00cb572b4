import type { SessionName } from "../names.ts";
import type { SessionDefaults } from "./options.ts";
import type { ConversationOptions, Session } from "./session.ts";
import type { SessionServer } from "./session-server.ts";

/** What a session's supervisor does for it. */
export interface SessionOwner {
  restart(options: ConversationOptions): Promise<void>;
  terminate(options: ConversationOptions): Promise<void>;
  fork(name: SessionName, options: Partial<SessionDefaults>): Promise<Session>;
  /** Resolves when the session has ended for good. */
  closed(): Promise<void>;
  /** The session of the same name, if this one was let go; brings it back. @throws CastellanError `TEMPLATE_FULL` */
  again(): SeatHolder | undefined;
}

export interface SeatHolder {
  readonly server: SessionServer;
  readonly owner: SessionOwner;
}

/** Where a handle finds its session. */
export interface Seat extends SeatHolder {
  /** Resolves when the session has ended for good. */
  readonly closed: Promise<void>;
}

/** Where a handle finds its session. One that was let go is found again by its name. */
export class SessionSeat implements Seat {
  #holder: SeatHolder;

  constructor(holder: SeatHolder) {
    this.#holder = holder;
  }

  get server(): SessionServer {
    return this.#now.server;
  }

  get owner(): SessionOwner {
    return this.#now.owner;
  }

  /** Resolves when the session has ended for good. Asking does not bring it back. */
  get closed(): Promise<void> {
    return this.#holder.owner.closed();
  }

  get #now(): SeatHolder {
    const { server, owner } = this.#holder;
    if (server.isLetGo) this.#holder = owner.again() ?? this.#holder;
    return this.#holder;
  }
}
