import { covers, isAffine, isSuspected, ruleFor, sizeOf } from "./placement.ts";
import type { NodeEntry } from "./protocol/engine.ts";
import type { OwnedActivity, SessionActivity } from "./session-host.ts";

/** A move that evens out the load. */
export interface PlannedMove {
  readonly key: string;
  /** Boot ids. */
  readonly from: string;
  readonly to: string;
  readonly activity: SessionActivity;
}

/** How much a session without a process counts, compared to one with a process. */
const STORED_WEIGHT = 0.1;

/** In which order sessions move: those that nobody notices first. */
const ORDER: readonly SessionActivity[] = ["idle", "none", "busy"];

interface Balanced {
  readonly node: NodeEntry;
  readonly size: number;
  readonly sessions: OwnedActivity[];
  load: number;
}

/** Returns whether a session may move from one node to another. */
type MayMove = (from: Balanced, to: Balanced) => (session: OwnedActivity) => boolean;

/**
 * Returns the moves that even out the load of nodes, at most `max`. The load of a node is that of its sessions, relative to its
 * `maxProcesses`. Each move goes from a node to one that has less load even with the session, so that plans come to an end, and a
 * session at most once. Sessions in mid-turn move only if no other session can even out anything. Nodes that drain or miss beats get and give nothing,
 * and no session leaves the nodes that its `affinity` prefers.
 *
 * @param owned the sessions of each node that has told them, by boot id
 */
export function planMoves(
  nodes: readonly NodeEntry[],
  owned: ReadonlyMap<string, readonly OwnedActivity[]>,
  max: number,
): PlannedMove[] {
  const fit = nodes.filter((node) => node.alive && !node.draining && !isSuspected(node));
  const all = fit.flatMap((node): Balanced[] => {
    const sessions = owned.get(node.boot);
    if (sessions === undefined) return [];
    const load = sessions.reduce((sum, { activity }) => sum + weightOf(activity), 0);
    return [
      { node, size: sizeOf(node), load, sessions: sessions.toSorted((one, other) => compare(one.key, other.key)) },
    ];
  });
  const mayMove = permissionOf(fit);
  const moves = new Map<string, PlannedMove>();
  while (moves.size < max) {
    const move = nextMove(all, moves, mayMove);
    if (move === undefined) break;
    moves.set(move.key, move);
  }
  return [...moves.values()];
}

/** Returns the best next move and carries it out on `all`. */
function nextMove(all: Balanced[], moved: ReadonlyMap<string, unknown>, mayMove: MayMove): PlannedMove | undefined {
  const byLoad = all.toSorted(
    (one, other) => other.load / other.size - one.load / one.size || compare(one.node.boot, other.node.boot),
  );
  for (const activity of ORDER) {
    for (const from of byLoad) {
      for (const to of byLoad.toReversed()) {
        const weight = weightOf(activity);
        if (to === from || (to.load + weight) / to.size > (from.load - weight) / from.size + EPSILON) continue;
        const may = mayMove(from, to);
        const at = from.sessions.findIndex(
          (session) => session.activity === activity && !moved.has(session.key) && may(session),
        );
        const [session] = at === -1 ? [] : from.sessions.splice(at, 1);
        if (session === undefined) continue;
        from.load -= weight;
        to.load += weight;
        to.sessions.push(session);
        return { key: session.key, from: from.node.boot, to: to.node.boot, activity };
      }
    }
  }
  return undefined;
}

/** Loads are sums of tenths. */
const EPSILON = 1e-9;

/** Sessions of one template may all move, or none: it asks once for all, because a node may have tens of thousands. */
function permissionOf(nodes: readonly NodeEntry[]): MayMove {
  const declared = new Set(nodes.flatMap(({ hosts }) => hosts.sessions));
  const pairs = new Map<string, Map<string, boolean>>();
  return (from, to) => {
    const pair = `${from.node.boot} ${to.node.boot}`;
    const allowed = pairs.get(pair) ?? new Map<string, boolean>();
    pairs.set(pair, allowed);
    return ({ key }) => {
      const kind = declared.has(key) ? key : kindOf(key);
      const known = allowed.get(kind) ?? isAllowed(key, from.node, to.node, nodes);
      allowed.set(kind, known);
      return known;
    };
  };
}

/** Returns the same for names that differ only in their last part, if both are texts, or both numbers. */
function kindOf(key: string): string {
  return `${key.slice(0, key.lastIndexOf(","))} ${key.endsWith('"]')}`;
}

function isAllowed(key: string, from: NodeEntry, to: NodeEntry, nodes: readonly NodeEntry[]): boolean {
  if (!covers(to.hosts, key)) return false;
  const { affinity = {} } = ruleFor(nodes, key);
  return isAffine(to, affinity) || !isAffine(from, affinity);
}

function weightOf(activity: SessionActivity): number {
  return activity === "none" ? STORED_WEIGHT : 1;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
