import type { SessionName } from "../../names.ts";

/** What a node can be asked to host, by names. It is the same on every node that runs the same code. */
export interface Hosted {
  /** Canonical names of sessions that are declared. */
  readonly sessions: readonly string[];
  /** First parts of names, after `global`, of which any session comes to life when it is first named. */
  readonly templates: readonly string[];
  /** Names of pools. Each node has its own members of them. */
  readonly pools: readonly string[];
}

/** A run of a node: when it has been given up for dead it comes back as another one. */
export interface NodeDescription {
  /** Unlike that of any other run of any node. */
  readonly boot: string;
  /** For people, and the same in the next run. */
  readonly name: string;
  /** Where the other nodes reach it: `http://10.0.0.7:7700`. */
  readonly address: string;
  /** The protocols between nodes that it speaks, the lowest and the highest. */
  readonly protocols: readonly [lowest: number, highest: number];
  /** The release of Castellan that it runs. */
  readonly release: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hosts: Hosted;
  /** How many processes it may have. `undefined`: as many as there are sessions. */
  readonly maxProcesses: number | undefined;
  /** After how many milliseconds without a renewal others may take its sessions. */
  readonly staleMs: number;
}

/** What a node says of itself each time that it renews. */
export interface NodeState {
  /** How many processes it has, and how many sessions wait for one. */
  readonly load: number;
  /** Whether it takes no more sessions. */
  readonly draining: boolean;
}

/** A node as the others see it. */
export interface NodeEntry extends NodeDescription, NodeState {
  /** Whether it has been heard of in time, by the clock of the engine, and has not ended. */
  readonly alive: boolean;
  /** In how many milliseconds it counts as dead unless it is heard of. Not above 0 if it does already. */
  readonly aliveForMs: number;
}

/** Who owns a session. */
export interface SessionOwnership {
  readonly boot: string;
  /** Rises whenever the session has another owner. What was written under a lower one is refused. */
  readonly epoch: number;
  readonly node: NodeEntry;
}

/** What came of a claim. */
export type Claim =
  | { readonly taken: true; readonly epoch: number }
  /** It has an owner that lives, or the node that claims counts as dead or draining itself, which `owner` then leaves out. */
  | { readonly taken: false; readonly owner: SessionOwnership | undefined };

/** A session and who owns it, as lists have it. */
export interface OwnedSession {
  readonly name: SessionName;
  readonly epoch: number;
  /** The owner's boot. Left out if it has none that lives. */
  readonly boot: string | undefined;
}

/**
 * What several machines agree by: which nodes there are, and who owns which session. PostgreSQL is one; another database can
 * take its place.
 *
 * All that it says of time it says by its own clock, so that those of the nodes need not agree. Keys are canonical names.
 * Every method may reject with `DATABASE_UNAVAILABLE`, within a bounded time; then nobody knows whether it has had its effect,
 * and it can be called again.
 */
export interface Engine {
  /** For messages. Tells no password. */
  readonly location: string;
  /**
   * Rises when it has turned out that the engine's database has another history than it had: it has failed over to a replica, and may
   * lack what it has confirmed. As of the last answer to `join` or `renew`; left out by an engine that does not lose anything.
   */
  readonly era?: number | undefined;
  /** Makes a node known to the others. */
  join(node: NodeDescription): Promise<void>;
  /**
   * Says that the node lives. `false` if it has been given up for dead, which is for good: somebody has taken a session of it
   * after it had not been heard of for `staleMs`, or it has left.
   */
  renew(boot: string, state: NodeState): Promise<boolean>;
  /** The node has told all that the database may lack of what it has confirmed, see {@link Engine.era}. */
  caughtUp?(boot: string): Promise<void>;
  /** The node is no more: whatever it owns is free at once. */
  leave(boot: string): Promise<void>;
  /**
   * Makes the session the node's, in one step, if nobody owns it or its owner has not been heard of in time; such an owner is
   * given up for dead with all that it owns. One that the node owns already stays its own, under the same epoch. At the beginning of
   * an era nobody is given anything for as long as nodes may be silent.
   */
  claim(boot: string, key: string): Promise<Claim>;
  /** Gives it up, if it is still the node's under this epoch. */
  release(boot: string, key: string, epoch: number): Promise<void>;
  /** Knows nothing of the session any more, if nobody owns it. Whoever owns one of that name later does so under a higher epoch. */
  forget(key: string): Promise<void>;
  /** Who owns it, also if that one counts as dead; `undefined` if nobody does. */
  ownerOf(key: string): Promise<SessionOwnership | undefined>;
  /** All nodes that have not ended. */
  nodes(): Promise<readonly NodeEntry[]>;
  /**
   * Sessions without a living owner that want one: those that have turns that have not ended, and those of `wanted`. In no
   * particular order, `limit` of them at the most.
   */
  unattended(wanted: readonly string[], limit: number): Promise<readonly string[]>;
  /** The sessions that have, or had, an owner and whose keys begin so, in the order of their keys. */
  sessions(keyPrefix: string): Promise<readonly OwnedSession[]>;
  /**
   * Calls back, if it can, when an owner has gone or given something up, so that nobody has to wait until they look the next
   * time. Those who listen must not rely on it.
   *
   * @returns stops listening
   */
  listen(changed: () => void): () => void;
  close(): Promise<void>;
}
