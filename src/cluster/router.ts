import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { formatName, nameOfKey } from "../names.ts";
import { fullness, placed, poolNameOf } from "./placement.ts";
import type { Engine, NodeEntry } from "./protocol/engine.ts";
import { commonProtocol } from "./protocol/protocol.ts";
import type { Destination } from "./protocol/transport.ts";

/** Where something is to be sent, and whether that node has to make the session its own first. */
export interface Route {
  readonly to: Destination;
  readonly claim: boolean;
  /** Whether it is a pool, which has members on several nodes, and not a session. */
  readonly pool: boolean;
}

/** What was tried in vain: a node that could not be reached, or one that answered that the session is not its own. */
export interface FailedRoute {
  readonly boot: string;
  readonly answered: boolean;
}

/**
 * For how long what was found out about the nodes is good enough: when something has just failed, when a session is looked for,
 * and when it is known where it is.
 */
const FRESH_MS = 100;
const SEEN_MS = 1_000;
const OLD_MS = Number.POSITIVE_INFINITY;

/** How many owners are remembered. */
const MOST_REMEMBERED = 20_000;

/**
 * Finds the node that a session is on, or should be on. What it has found it keeps until it fails, so that most calls cost no
 * statement; and many that fail at once look together.
 */
export class Router {
  readonly #engine: Engine;
  readonly #clock: Clock;
  /** The owners' boots by the keys of sessions; what was used last is at the end. */
  readonly #owners = new Map<string, string>();
  /** When each node counts as dead unless it is heard of, on the monotonic clock. */
  #deadAt: ReadonlyMap<string, number> = new Map();
  #nodes: { readonly at: number; readonly entries: Promise<readonly NodeEntry[]> } | undefined;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /**
   * @param failed what has just been tried in vain, if something was
   * @throws CastellanError `CLUSTER_UNAVAILABLE` if no node lives that could have it, `DATABASE_UNAVAILABLE`
   */
  async locate(key: string, failed?: FailedRoute): Promise<Route> {
    const known = this.#owners.get(key);
    const nodes = await this.nodes(this.#ageFor(known, failed));
    const pool = poolNameOf(key);
    if (pool !== undefined && nodes.some(({ hosts }) => hosts.pools.includes(pool)))
      return this.#locatePool(key, pool, nodes, failed);
    // A node that did not answer may do so in a moment, as long as it counts as alive; one that is not the owner will not be.
    const owner = known !== undefined && failed?.answered !== true ? known : await this.#owner(key);
    const entry = nodes.find(({ boot }) => boot === owner);
    if (entry?.alive === true) {
      this.learn(key, entry.boot);
      // It owns the session and does not know it, if it has never heard that its claim was granted.
      const claim = failed?.answered === true && failed.boot === entry.boot;
      return { to: destinationOf(entry), claim, pool: false };
    }
    if (owner !== undefined) this.forget(key, owner);
    const place = placed(nodes.filter(isUnderstood), key);
    if (place === undefined) throw noNode(key, nodes.length);
    // Each that is placed is one more that the node will have to carry.
    Object.assign(place, { load: place.load + 1 });
    return { to: destinationOf(place), claim: true, pool: false };
  }

  /** The node whose pool of this name has the least to do; another one than has just failed, if there is one. */
  #locatePool(key: string, pool: string, nodes: readonly NodeEntry[], failed: FailedRoute | undefined): Route {
    const able = nodes.filter((node) => isUnderstood(node) && isOpen(node) && node.hosts.pools.includes(pool));
    const least = able.toSorted((one, other) => fullness(one) - fullness(other));
    const best = least.find(({ boot }) => boot !== failed?.boot) ?? least[0];
    if (best === undefined) throw noNode(key, nodes.length);
    Object.assign(best, { load: best.load + 1 });
    return { to: destinationOf(best), claim: false, pool: true };
  }

  /**
   * In how many milliseconds a node that was asked in vain counts as dead unless it is heard of, as far as is known: then others may
   * take what it owns. `undefined` if nothing is known of it.
   */
  deadInMs(boot: string): number | undefined {
    const deadAt = this.#deadAt.get(boot);
    return deadAt === undefined ? undefined : deadAt - this.#clock.monotonic();
  }

  /** How old what is known of the nodes may be. That a node is dead by now has to be seen, and not to be reckoned. */
  #ageFor(known: string | undefined, failed: FailedRoute | undefined): number {
    if (failed === undefined) return known === undefined ? SEEN_MS : OLD_MS;
    const left = failed.answered ? undefined : this.deadInMs(failed.boot);
    return left !== undefined && left <= 0 ? 0 : FRESH_MS;
  }

  /** A node that this session has been found on. */
  learn(key: string, boot: string): void {
    this.#owners.delete(key);
    this.#owners.set(key, boot);
    if (this.#owners.size <= MOST_REMEMBERED) return;
    const [oldest] = this.#owners.keys();
    if (oldest !== undefined) this.#owners.delete(oldest);
  }

  /** It is not on this node, or no longer. */
  forget(key: string, boot: string): void {
    if (this.#owners.get(key) === boot) this.#owners.delete(key);
  }

  /** All nodes, as they were `maxAgeMs` ago at the most. @throws CastellanError `DATABASE_UNAVAILABLE` */
  async nodes(maxAgeMs: number): Promise<readonly NodeEntry[]> {
    const now = this.#clock.monotonic();
    if (this.#nodes === undefined || now - this.#nodes.at > maxAgeMs) {
      const entries = this.#engine.nodes().then((found) => {
        // From when they were asked for: an answer that takes its time makes nobody dead too early.
        this.#deadAt = new Map(found.map(({ boot, aliveForMs }) => [boot, now + aliveForMs]));
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

/** How a node is reached. @throws CastellanError `CLUSTER_UNAVAILABLE` if its release cannot be talked to */
export function destinationOf({ boot, name, address, release, protocols }: NodeEntry): Destination {
  const protocol = commonProtocol(protocols);
  if (protocol !== undefined) return { boot, address, protocol };
  const message = `Node ${name} runs Castellan ${release}, which this release cannot talk to: they are too far apart. Update the older one.`;
  throw new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "protocol" } });
}

function isUnderstood({ protocols }: NodeEntry): boolean {
  return commonProtocol(protocols) !== undefined;
}

function isOpen({ alive, draining }: NodeEntry): boolean {
  return alive && !draining;
}

function noNode(key: string, nodes: number): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const there =
    nodes === 0
      ? "there is no node at all"
      : `none of the ${nodes} nodes that there are lives, takes sessions and knows what it is to be`;
  const message = `global session ${formatName(nameOfKey(key))} has no node: ${there}. Start one whose children declare it.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}
