import type { SessionName } from "../../names.ts";
import type { ConversationOptions } from "../../session/controls.ts";
import type { FarSession } from "../../session/far-session.ts";
import type { SessionDefaults } from "../../session/options/options.ts";
import type { FoundSession, Session, SessionOwner } from "../../session/session.ts";
import type { SessionServer } from "../../session/session-server.ts";

/** What a supervisor does for its sessions on the calls of their handles. */
export interface SessionSupervisor {
  restartOwn(server: SessionServer, options: ConversationOptions): Promise<void>;
  terminateOwn(server: SessionServer, options: ConversationOptions): Promise<void>;
  forkOwn(server: SessionServer, name: SessionName, options: Partial<SessionDefaults>): Promise<Session>;
  closedOwn(server: SessionServer): Promise<void>;
  findOwn(name: SessionName): FoundSession | undefined;
  farOwn(server: SessionServer): FarSession | undefined;
}

/** The owner of one session: its supervisor, which does the same for all of its sessions. */
export class SessionOwnership implements SessionOwner {
  readonly #supervision: SessionSupervisor;
  readonly #server: SessionServer;

  constructor(supervision: SessionSupervisor, server: SessionServer) {
    this.#supervision = supervision;
    this.#server = server;
  }

  async restart(options: ConversationOptions): Promise<void> {
    await this.#supervision.restartOwn(this.#server, options);
  }

  async terminate(options: ConversationOptions): Promise<void> {
    await this.#supervision.terminateOwn(this.#server, options);
  }

  async fork(name: SessionName, options: Partial<SessionDefaults>): Promise<Session> {
    return await this.#supervision.forkOwn(this.#server, name, options);
  }

  closed(): Promise<void> {
    return this.#supervision.closedOwn(this.#server);
  }

  find(): FoundSession | undefined {
    return this.#supervision.findOwn(this.#server.settings.name);
  }

  far(): FarSession | undefined {
    return this.#supervision.farOwn(this.#server);
  }
}
