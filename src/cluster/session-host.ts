import type { CastellanError } from "../errors.ts";
import type { SessionName } from "../names.ts";
import type { RemoteControl } from "../session/controls.ts";
import type { Removed } from "../session/persistence/erasure.ts";
import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import type { TurnGate } from "../session/streams/turn-gate.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import type { HostMethod, PoolMethod } from "./protocol/call-methods.ts";
import type { NodeReport } from "./protocol/engine.ts";
import type { TurnAsked } from "./protocol/frames.ts";
import type { TurnShare } from "./protocol/turn-share.ts";

/** A session or global pool of a {@link SessionHost}. */
export interface HostedSession {
  /**
   * Accepts a turn, or returns the one with this key.
   *
   * @param gate what the turn of a pool has to pass before it begins
   * @throws CastellanError if the turn is refused
   */
  ask(turn: TurnAsked, gate?: TurnGate): TurnSource;
  /** Returns a queued, running or ended turn. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  turn(id: string): Promise<TurnSource | undefined>;
  /** Stops a turn, as `Turn.interrupt`. Ignores an unknown one. */
  cancel(id: string): Promise<void>;
  /** @throws CastellanError as the session's method */
  call(method: RemoteControl | HostMethod | PoolMethod, args: readonly unknown[]): Promise<unknown>;
  /** Resolves with the number of the last event, once it is known. @throws CastellanError as `Session.events` */
  lastEvent(): Promise<number>;
  events(options: EventOptions): AsyncGenerator<SessionEvent, void, undefined>;
}

/** What a session does: `none` without a process, `idle` with one, `busy` in or before a turn, or with background work. */
export type SessionActivity = "none" | "idle" | "busy";

/** A session that a node owns. */
export interface OwnedActivity {
  readonly key: string;
  readonly activity: SessionActivity;
}

/** What a host needs of its node, for the jobs of pools. Each method rejects with `DATABASE_UNAVAILABLE`. */
export interface HostNode {
  /** Claims a session, by its canonical name. Resolves with whether this run owns it. */
  claim(key: string): Promise<boolean>;
  /** See `Engine.reserveJob`. */
  reserveJob(key: string): Promise<string | undefined>;
  /** See `Engine.shareTurns`. */
  shareTurns(limit: number, wanted: number, running: number): Promise<TurnShare>;
  /** See `Engine.countJobs`. */
  countJobs(key: string): Promise<number>;
  /** Returns the canonical names of the sessions that have, or had, an owner and begin with `keyPrefix`. */
  sessionKeys(keyPrefix: string): Promise<readonly string[]>;
}

/** The application that hosts the sessions of one run of a node. It writes to the run's `RunStorage` only. */
export interface SessionHost {
  /**
   * Returns the session. Starts it on first use, with what the journal knows of it.
   *
   * @throws CastellanError `SESSION_NOT_FOUND` if no child declares it, `INVALID_OPTIONS`
   */
  session(name: SessionName): HostedSession;
  /** Returns the global pool of this name, if this node hosts it. */
  pool(name: string): HostedSession | undefined;
  /** Called once the run has joined: the host may run jobs from now on, until it is stopped or killed. */
  joined?(node: HostNode): void;
  /** Number of processes, plus sessions that wait for one. */
  readonly load: number;
  /** Returns what a session does here. Optional. */
  activityOf?(name: SessionName): SessionActivity;
  /** See `NodeState.busy`. Optional. */
  readonly busy?: Readonly<Record<string, number>>;
  /** What the node tells of its sessions and its machine. Optional. */
  readonly report?: Omit<NodeReport, "sessions">;
  /**
   * Ends the session here. Its running turn may finish within `deadlineMs`; queued turns stay in the journal. Resolves
   * once no process of it runs and no write is pending.
   */
  release(name: SessionName, deadlineMs: number): Promise<void>;
  /**
   * Removes this machine's files of a session that it used to own.
   *
   * @param memory whether the session alone uses the working directory
   */
  eraseFiles(name: SessionName, conversations: readonly string[], memory: boolean): Promise<Removed>;
  /** Writes again what the database lacks of its confirmed commits, see `Engine.era`. */
  catchUp?(): Promise<void>;
  /** Kills all processes at once. Turns are left for the next owner. */
  kill(cause: CastellanError): Promise<void>;
  /** Stops the host after its sessions were released. */
  stop(): Promise<void>;
}
