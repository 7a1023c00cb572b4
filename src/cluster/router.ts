import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { formatName, nameOfKey } from "../names.ts";
import { countPlaced, countTurn, isSuspected, pickNode, poolNameOf, rankNodes } from "./placement.ts";
import type { Engine, NodeEntry } from "./protocol/engine.ts";
import { commonProtocol } from "./protocol/protocol.ts";
import type { Destination } from "./protocol/transport.ts";

/** The node for a request, and whether that node has to claim the session first. */
export interface Route {
  readonly to: Destination;
  readonly claim: boolean;
  /** Whether the name is a pool's, which has members on several nodes. */
  readonly pool: boolean;
  /** Whether the node can wait for the caller's confirmation before it begins the pool's turn. */
  readonly confirms: boolean;
}

/** What finds the node of a session for those who ask. */
export type Routing = Pick<Router, "locate" | "learn" | "forget" | "deadInMs">;

/** A failed attempt: the node did not answer, or answered that it does not own the session. */
export interface FailedRoute {
  readonly boot: string;
  readonly answered: boolean;
}

/**
 * Maximum age of the node list, in milliseconds: after a failure, for a session without a known owner, and for one with
 * a known owner.
 */
const AFTER_FAILURE_MS = 100;
const UNKNOWN_OWNER_MS = 1_000;
const KNOWN_OWNER_MS = Number.POSITIVE_INFINITY;

/** Maximum number of owners to remember. */
const MOST_REMEMBERED = 20_000;

/**
 * Finds the node of a session. It caches owners until a request fails, so most calls need no database query, and
 * concurrent lookups share one query.
 */
export class Router {
  readonly #engine: Engine;
  readonly #clock: Clock;
  /** The owner's run by session key, least recently used first. */
  readonly #owners = new Map<string, string>();
  /** When each node counts as dead unless it renews, on the monotonic clock. */
  #deadAt: ReadonlyMap<string, number> = new Map();
  /** When a request to each node last failed without an answer, on the monotonic clock. Nodes that answer are not among them. */
  readonly #silent = new Map<string, number>();
  #nodes: { readonly at: number; readonly entries: Promise<readonly NodeEntry[]> } | undefined;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /**
   * Returns the node to send a request for this session to.
   *
   * @param failed the attempt that has just failed, if any
   * @throws CastellanError `CLUSTER_UNAVAILABLE` if no live node hosts the session, `DATABASE_UNAVAILABLE`
   */
  async locate(key: string, failed?: FailedRoute): Promise<Route> {
    if (failed?.answered === false) this.#silent.set(failed.boot, this.#clock.monotonic());
    const known = this.#owners.get(key);
    const nodes = await this.nodes(this.#ageFor(known, failed));
    const pool = poolNameOf(key);
    if (pool !== undefined && nodes.some(({ hosts }) => hosts.pools.includes(pool)))
      return this.#locatePool(key, pool, nodes, failed);
    // Retries a silent node while it counts as alive. A node that answered `not_owner` is looked up again.
    const owner = known !== undefined && failed?.answered !== true ? known : await this.#owner(key);
    const entry = nodes.find(({ boot }) => boot === owner);
    if (entry?.alive === true) {
      this.#remember(key, entry.boot);
      // The node owns the session without knowing it: the answer to its claim was lost.
      const claim = failed?.answered === true && failed.boot === entry.boot;
      return { to: destinationOf(entry), claim, pool: false, confirms: false };
    }
    if (owner !== undefined) this.forget(key, owner);
    const picked = pickNode(nodes.filter(hasCommonProtocol), key, this.#suspects);
    if (picked === undefined) throw noNode(key, nodes.length);
    countPlaced(picked, key);
    return { to: destinationOf(picked), claim: true, pool: false, confirms: false };
  }

  /** Picks the node that suits the pool best; another one than the failed node, if there is one. */
  #locatePool(key: string, pool: string, nodes: readonly NodeEntry[], failed: FailedRoute | undefined): Route {
    const able = nodes.filter((node) => hasCommonProtocol(node) && isOpen(node) && node.hosts.pools.includes(pool));
    const ranked = rankNodes(able, key, this.#suspects);
    const best = ranked.find(({ boot }) => boot !== failed?.boot) ?? ranked[0];
    if (best === undefined) throw noNode(key, nodes.length);
    countTurn(best, pool);
    return { to: destinationOf(best), claim: false, pool: true, confirms: best.hosts.confirms === true };
  }

  /** Whether a node seems to be failing: it has missed beats, or did not answer this process lately. */
  readonly #suspects = (node: NodeEntry): boolean => {
    const at = this.#silent.get(node.boot);
    if (at !== undefined && this.#clock.monotonic() - at < node.staleMs) return true;
    this.#silent.delete(node.boot);
    return isSuspected(node);
  };

  /**
   * Returns in how many milliseconds a silent node counts as dead, so that others may take its sessions. Undefined if
   * the node is unknown.
   */
  deadInMs(boot: string): number | undefined {
    const deadAt = this.#deadAt.get(boot);
    return deadAt === undefined ? undefined : deadAt - this.#clock.monotonic();
  }

  /** Returns the maximum age of the node list. That a node is dead must be read from the database, not computed. */
  #ageFor(known: string | undefined, failed: FailedRoute | undefined): number {
    if (failed === undefined) return known === undefined ? UNKNOWN_OWNER_MS : KNOWN_OWNER_MS;
    const left = failed.answered ? undefined : this.deadInMs(failed.boot);
    return left !== undefined && left <= 0 ? 0 : AFTER_FAILURE_MS;
  }

  /** Remembers that this node has answered for the session. */
  learn(key: string, boot: string): void {
    this.#silent.delete(boot);
    this.#remember(key, boot);
  }

  #remember(key: string, boot: string): void {
    this.#owners.delete(key);
    this.#owners.set(key, boot);
    if (this.#owners.size <= MOST_REMEMBERED) return;
    const [oldest] = this.#owners.keys();
    if (oldest !== undefined) this.#owners.delete(oldest);
  }

  /** Forgets that this node owns the session. */
  forget(key: string, boot: string): void {
    if (this.#owners.get(key) === boot) this.#owners.delete(key);
  }

  /** Returns all nodes, at most `maxAgeMs` old. @throws CastellanError `DATABASE_UNAVAILABLE` */
  async nodes(maxAgeMs: number): Promise<readonly NodeEntry[]> {
    const now = this.#clock.monotonic();
    if (this.#nodes === undefined || now - this.#nodes.at > maxAgeMs) {
      const entries = this.#engine.nodes().then((found) => {
        // Counts from when the query was sent: a slow answer declares no node dead too early.
        this.#deadAt = new Map(found.map(({ boot, aliveForMs }) => [boot, now + aliveForMs]));
        for (const boot of this.#silent.keys()) if (!this.#deadAt.has(boot)) this.#silent.delete(boot);
        return found.map((entry) => ({ ...entry }));
      });
      const snapshot = { at: now, entries };
      this.#nodes = snapshot;
      entries.catch(() => {
        if (this.#nodes === snapshot) this.#nodes = undefined;
      });
    }
    return await this.#nodes.entries;
  }

  async #owner(key: string): Promise<string | undefined> {
    return (await this.#engine.ownerOf(key))?.boot;
  }
}

/** Returns how to reach a node. @throws CastellanError `CLUSTER_UNAVAILABLE` if there is no common protocol */
export function destinationOf({ boot, name, address, release, protocols }: NodeEntry): Destination {
  const protocol = commonProtocol(protocols);
  if (protocol !== undefined) return { boot, address, protocol };
  const message = `Node ${name} runs Castellan ${release}, which has no protocol in common with this release. Update the older of the two.`;
  throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "protocol" } });
}

function hasCommonProtocol({ protocols }: NodeEntry): boolean {
  return commonProtocol(protocols) !== undefined;
}

function isOpen({ alive, draining }: NodeEntry): boolean {
  return alive && !draining;
}

function noNode(key: string, nodes: number): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const there =
    nodes === 0 ? "the cluster has no nodes" : `none of the ${nodes} nodes is alive, accepts sessions and declares it`;
  const message = `global session ${formatName(nameOfKey(key))} has no node: ${there}. Start a node whose children declare it.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}
