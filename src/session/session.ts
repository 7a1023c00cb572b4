import type { SessionName } from "../names.ts";
import type { TurnOptions } from "./options.ts";
import type { Reply } from "./reply.ts";
import type { SessionServer } from "./session-server.ts";
import type { SessionStatus } from "./session-status.ts";
import { Turn } from "./turn.ts";

/** What a session's supervisor does for it. */
export interface SessionOwner {
  restart(options: RestartOptions): Promise<void>;
  terminate(): Promise<void>;
}

export interface RestartOptions {
  /** Whether the session goes on with its conversation or begins an empty one. Default `"keep"`. */
  conversation?: "keep" | "clear";
}

/**
 * A named, supervised conversation. A handle is accepted wherever a name is, and stays good for as long as the session
 * exists, whatever happens to its process.
 */
export class Session {
  readonly name: SessionName;
  readonly #server: SessionServer;
  readonly #owner: SessionOwner;

  /** Made by a supervisor. */
  constructor(server: SessionServer, owner: SessionOwner) {
    this.name = server.settings.name;
    this.#server = server;
    this.#owner = owner;
  }

  /**
   * Asks, and waits for the answer.
   *
   * @throws CastellanError what {@link Session.stream} throws, and how the turn can end: see {@link Turn.result}.
   * @example
   * const { text } = await session.query("Review this function", { timeout: "2m" });
   */
  async query(prompt: string, options: TurnOptions = {}): Promise<Reply> {
    return await this.stream(prompt, options).result();
  }

  /**
   * Asks, and returns the turn at once, to be read while it runs.
   *
   * @throws CastellanError `INVALID_OPTIONS` (also for a prompt that is empty or no text), `MAILBOX_FULL`,
   * `SESSION_BUSY`, `TURN_CANCELLED` if the signal is already aborted, `SESSION_QUARANTINED`, `SESSION_STOPPED`,
   * `SUPERVISOR_STOPPED`
   */
  stream(prompt: string, options: TurnOptions = {}): Turn {
    const record = this.#server.submit(prompt, options);
    return new Turn(record, this.name, () => this.#server.dispatcher.interrupt(record));
  }

  /** What is known of the session at this moment, without asking anybody. */
  status(): SessionStatus {
    return this.#server.status();
  }

  /** Stops the turn that runs, if one does, and resolves when it has ended. Turns that wait go on. */
  async interrupt(): Promise<void> {
    await this.#server.dispatcher.interruptCurrent();
  }

  /** Ends the process and starts another one; see `Supervisor.restartSession`. */
  async restart(options: RestartOptions = {}): Promise<void> {
    await this.#owner.restart(options);
  }

  /** Ends the session; see `Supervisor.terminateSession`. */
  async stop(): Promise<void> {
    await this.#owner.terminate();
  }
}

/** Whether a reference to a session is a handle, be it of another copy of this package, and not a name. */
export function isSession(reference: SessionName | Session): reference is Session {
  return typeof reference === "object" && reference !== null && "query" in reference;
}
