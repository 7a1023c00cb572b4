import type { SessionDescription } from "../../journal/model/session-entry.ts";
import type { SessionListQuery } from "../../journal/model/session-list.ts";
import type { SessionName } from "../../names.ts";
import type { TurnShare } from "./turn-share.ts";

/** Which nodes are preferred for a session or a pool; see `GlobalPlacement`. */
export interface PlacementRule {
  readonly affinity?: Readonly<Record<string, string>>;
  readonly spread?: string;
}

/** What a node hosts, by name. The same on every node that runs the same code. */
export interface Hosted {
  /** Canonical names of declared sessions. */
  readonly sessions: readonly string[];
  /** First name parts, after `global`, of templates: any session of that name starts on first use. */
  readonly templates: readonly string[];
  /** Names of pools. Each node has members of its own. */
  readonly pools: readonly string[];
  /** Whether the node can wait for the caller's confirmation before it begins a pool's turn. Left out by earlier releases. */
  readonly confirms?: boolean;
  /** Preferences for nodes: of sessions by their key, of others by `templateRule` and `poolRule`. Left out if there are none. */
  readonly rules?: Readonly<Record<string, PlacementRule>>;
}

/** One run of a node. A node that was declared dead rejoins as another run. */
export interface NodeDescription {
  /** Unique id of the run. */
  readonly boot: string;
  /** For people; the same in the next run. */
  readonly name: string;
  /** Where other nodes reach it: `http://10.0.0.7:7700`. */
  readonly address: string;
  /** The lowest and highest protocol that it speaks. */
  readonly protocols: readonly [lowest: number, highest: number];
  /** Its release of Castellan. */
  readonly release: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hosts: Hosted;
  /** Maximum number of processes. Undefined: unlimited. */
  readonly maxProcesses: number | undefined;
  /** Silence after which other nodes may take its sessions, in milliseconds. */
  readonly staleMs: number;
}

/** How a machine's clock compares with the engine's. */
export interface ClockSkew {
  /** How far the machine's wall clock is ahead, in milliseconds. Negative if it is behind. */
  readonly aheadMs: number;
  /** How far that may be off, in milliseconds: half of the time that the measurement took. */
  readonly withinMs: number;
}

/** What a node tells of itself, for people. */
export interface NodeReport {
  /** Number of global sessions that it owns. */
  readonly sessions: number;
  /** Number of their processes, and of sessions that wait for one. */
  readonly processes: number;
  readonly waiting: number;
  /** Number of their running turns. */
  readonly turns: number;
  /** The memory of its machine, or of its container if that has a limit, in bytes. */
  readonly memory: { readonly usedBytes: number; readonly totalBytes: number };
  /** The release of Node.js, such as `24.1.0`. */
  readonly nodeRelease: string;
  /** The release of Claude Code in the process that started last. Left out before the first one. */
  readonly claudeRelease?: string;
  /** How far its clock is ahead of the database's, in milliseconds. Negative if it is behind. Left out if unknown. */
  readonly clockAheadMs?: number;
}

/** What a node reports with each renewal. */
export interface NodeState {
  /** Number of processes, plus sessions that wait for one. */
  readonly load: number;
  /** Whether it takes no more sessions. */
  readonly draining: boolean;
  /** Left out until the first renewal, and by nodes of earlier releases. */
  readonly report?: NodeReport;
  /** How many sessions it owns of each family, see `familyOf`. Left out if it owns none. */
  readonly families?: Readonly<Record<string, number>>;
  /** How many turns and loans its members of each pool have, plus those that wait for one. Left out if there are none. */
  readonly busy?: Readonly<Record<string, number>>;
}

/** A node as other nodes see it. */
export interface NodeEntry extends NodeDescription, NodeState {
  /** Whether it has renewed in time, by the engine's clock, and has not ended. */
  readonly alive: boolean;
  /** In how many milliseconds it counts as dead without a renewal; 0 or less if it already does. */
  readonly aliveForMs: number;
}

/** The live node that has a name. */
export interface NameHolder {
  readonly boot: string;
  readonly address: string;
  /** When it last renewed its lease, in milliseconds, by the engine's clock. */
  readonly renewedAt: number;
  /** In how many milliseconds it counts as dead without a renewal. */
  readonly aliveForMs: number;
}

/** The owner of a session. */
export interface SessionOwnership {
  readonly boot: string;
  /** Rises with each new owner. Writes under a lower epoch are rejected. */
  readonly epoch: number;
  readonly node: NodeEntry;
}

/** The outcome of a claim. */
export type Claim =
  | { readonly taken: true; readonly epoch: number }
  /** A live node owns the session. Without `owner`, the claimant itself is dead or draining. */
  | { readonly taken: false; readonly owner: SessionOwnership | undefined };

/** A session and its owner, in lists. */
export interface OwnedSession {
  readonly name: SessionName;
  readonly epoch: number;
  /** The owner's boot id. Undefined without a live owner. */
  readonly boot: string | undefined;
}

/** Which sessions to find, by key. */
export interface EngineFindQuery extends Omit<SessionListQuery, "supervisor"> {
  /** Only sessions with a live owner, or only those without one. */
  readonly owned?: boolean;
}

/** A session that the journal knows, and its owner. */
export interface DescribedSession extends Omit<OwnedSession, "epoch"> {
  readonly description: SessionDescription;
  /** Undefined if no node has owned it. */
  readonly epoch: number | undefined;
}

/**
 * The cluster's shared state: which nodes exist, and who owns which session. PostgreSQL is one engine; another database
 * can take its place.
 *
 * All times are by the engine's own clock, so the nodes' clocks may differ. Keys are canonical names. Every method
 * rejects with `DATABASE_UNAVAILABLE` within a bounded time; it may then have taken effect or not, and can be called
 * again.
 */
export interface Engine {
  /** Location of the engine, for messages. Contains no password. */
  readonly location: string;
  /**
   * Another number for each history of the database, which begins when it fails over to a replica and may lack confirmed
   * commits. As of the last answer to `join` or `renew`. Left out by an engine that loses nothing.
   */
  readonly era?: number | undefined;
  /** How this machine's clock compares with the engine's, as of the last answer to `renew`. Left out if unknown. */
  readonly skew?: ClockSkew | undefined;
  /**
   * Adds a node, unless another live node has its name. Of nodes that join at once under one name, one is added.
   *
   * @returns the node that has the name; undefined once the node has joined
   */
  join(node: NodeDescription): Promise<NameHolder | undefined>;
  /**
   * Renews the lease of a node. Returns false, for good, if the node has left or was declared dead: it was silent for
   * `staleMs` and another node took a session of it.
   */
  renew(boot: string, state: NodeState): Promise<boolean>;
  /** Reports that the node has replayed all writes that the database may lack in this era. */
  caughtUp?(boot: string, era: number): Promise<void>;
  /** Removes a node. All its sessions are free at once. */
  leave(boot: string): Promise<void>;
  /**
   * Makes the node the owner of the session, atomically, if the session has no owner or a stale one; a stale owner is
   * declared dead and loses all its sessions. A node that already owns the session keeps its epoch. At the beginning of
   * an era no claim succeeds until silent nodes count as dead.
   */
  claim(boot: string, key: string): Promise<Claim>;
  /** Releases the session if the node still owns it under this epoch. */
  release(boot: string, key: string, epoch: number): Promise<void>;
  /** Deletes the session if it has no owner. A later session of the same name gets a higher epoch. */
  forget(key: string): Promise<void>;
  /** Returns the owner, dead or alive; undefined if there is none. */
  ownerOf(key: string): Promise<SessionOwnership | undefined>;
  /** Returns all nodes that have not ended. */
  nodes(): Promise<readonly NodeEntry[]>;
  /**
   * Returns up to `limit` sessions that need an owner and have no live one, in no particular order: those with
   * unfinished turns, those with a schedule that is due within a minute, and those of `wanted`.
   */
  unattended(wanted: readonly string[], limit: number): Promise<readonly string[]>;
  /** Returns the sessions that have, or had, an owner and whose keys start with `keyPrefix`, ordered by key. */
  sessions(keyPrefix: string): Promise<readonly OwnedSession[]>;
  /** Returns a page of the sessions that the journal knows, ordered by key. */
  findSessions(query: EngineFindQuery): Promise<readonly DescribedSession[]>;
  /**
   * Reserves, for a node, the next due job of a pool that no living node has reserved, by priority and then in order.
   * Returns its id, or undefined. Another node may reserve it after thirty seconds, or once this one is dead.
   */
  reserveJob(boot: string, key: string): Promise<string | undefined>;
  /**
   * Records how many turns a node runs and wants to run, and returns how many it may run of a limit for all nodes; see
   * `turnShare`. Optional.
   */
  shareTurns?(boot: string, limit: number, wanted: number, running: number): Promise<TurnShare>;
  /** Returns the number of waiting jobs of a pool. */
  countJobs(key: string): Promise<number>;
  /**
   * Notifies `changed`, best effort, when an owner is gone or has released a session. Callers must also poll.
   *
   * @returns a function that stops listening
   */
  listen(changed: () => void): () => void;
  /** Asks the engine for its release, and so whether it answers. Optional. */
  version?(): Promise<string>;
  close(): Promise<void>;
}
