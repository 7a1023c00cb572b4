import type { CastellanError } from "../errors.ts";
import type { SessionName } from "../names.ts";
import type { RemoteControl } from "../session/controls.ts";
import type { Removed } from "../session/persistence/erasure.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import type { HostMethod } from "./protocol/call-methods.ts";
import type { TurnAsked } from "./protocol/frames.ts";

/** A session, or a global pool, of a {@link SessionHost}. */
export interface HostedSession {
  /** Accepts a turn, or finds the one with this key. @throws CastellanError if it is not accepted */
  ask(turn: TurnAsked): TurnSource;
  /** A turn that waits, runs or has ended. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  turn(id: string): Promise<TurnSource | undefined>;
  /** Stops a turn, as `Turn.interrupt`. Does nothing to one that is not there. */
  cancel(id: string): Promise<void>;
  /** @throws CastellanError, as the method of a session does */
  call(method: RemoteControl | HostMethod, args: readonly unknown[]): Promise<unknown>;
  events(): AsyncGenerator<SessionEvent, void, undefined>;
}

/**
 * What one run of a node needs of the application that hosts its sessions. The host writes into the run's `RunStorage` and nowhere
 * else.
 */
export interface SessionHost {
  /**
   * The session of this name, which comes to life when it is first named and takes up what the journal knows of it.
   *
   * @throws CastellanError `SESSION_NOT_FOUND` if there is nothing that says what it is to be, `INVALID_OPTIONS`
   */
  session(name: SessionName): HostedSession;
  /** The global pool of this name, if this node has one. */
  pool(name: string): HostedSession | undefined;
  /** How many processes there are, and how many sessions wait for one. */
  readonly load: number;
  /**
   * Ends the session here: its running turn may finish until `deadlineMs` is over, what it has accepted and not begun stays in the
   * journal. Resolves when no process of it is left and nothing of it is written any more.
   */
  release(name: SessionName, deadlineMs: number): Promise<void>;
  /**
   * Removes the files that conversations of a session have left on this machine, which has had it before.
   *
   * @param memory whether the working directory is the session's alone
   */
  eraseFiles(name: SessionName, conversations: readonly string[], memory: boolean): Promise<Removed>;
  /** Tells the database once more what it lacks of what it has confirmed, see `Engine.era`. */
  catchUp?(): Promise<void>;
  /** Ends all processes at once, without a word to anybody; turns are left for the next owner. */
  kill(cause: CastellanError): Promise<void>;
  /** Ends it after its sessions have been released. */
  stop(): Promise<void>;
}
