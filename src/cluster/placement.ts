import { nameOfKey } from "../names.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { Hosted, NodeEntry, PlacementRule } from "./protocol/engine.ts";

/** Whether a node with these hosts declares the session: by its name, by a template, or as a member that runs jobs of a pool. */
export function covers(hosts: Hosted, key: string): boolean {
  if (hosts.sessions.includes(key)) return true;
  const name = nameOfKey(key);
  if (typeof name === "string" || name.length < 3) return false;
  if (name.length === 3 && typeof name[2] === "number" && hosts.pools.includes(String(name[1]))) return true;
  return hosts.templates.includes(String(name[1]));
}

/**
 * Returns the pool name in this key, or undefined if only a session can have the key. The nodes' `hosts` tell whether
 * the pool exists.
 */
export function poolNameOf(key: string): string | undefined {
  const name = nameOfKey(key);
  const isShort = typeof name !== "string" && name.length === 2 && name[0] === GLOBAL;
  return isShort ? String(name[1]) : undefined;
}

/** Returns the first part of a global name after `global`: the sessions that share it are spread together. */
export function familyOf(key: string): string {
  const name = nameOfKey(key);
  return typeof name === "string" ? name : String(name[1]);
}

/** Whether a node has missed so many beats that it may soon count as dead: a healthy one renews at least three times as often. */
export function isSuspected({ aliveForMs, staleMs }: Pick<NodeEntry, "aliveForMs" | "staleMs">): boolean {
  return aliveForMs < staleMs / 2;
}

/**
 * Returns the node for a session without an owner, of the live nodes that declare it and are not draining; see
 * {@link rankNodes}. Deterministic: every process that sees the same nodes picks the same one.
 */
export function pickNode(
  nodes: readonly NodeEntry[],
  key: string,
  suspects: (node: NodeEntry) => boolean = isSuspected,
): NodeEntry | undefined {
  const able = nodes.filter((node) => node.alive && !node.draining && covers(node.hosts, key));
  return rankNodes(able, key, suspects)[0];
}

/**
 * Sorts nodes by how well they suit a session or a pool, the best first:
 * 1. those that do not seem to be failing;
 * 2. those with room;
 * 3. those with the labels of `affinity`;
 * 4. with `spread`, those in the zone with the fewest sessions of the family, and then in the least loaded zone;
 * 5. for a pool, those where it has the fewest turns;
 * 6. the least loaded for their size.
 *
 * These are preferences. A zone without nodes keeps nobody waiting.
 */
export function rankNodes(
  nodes: readonly NodeEntry[],
  key: string,
  suspects: (node: NodeEntry) => boolean = isSuspected,
): NodeEntry[] {
  const { affinity = {}, spread } = ruleFor(nodes, key);
  const zones = spread === undefined ? undefined : zonesOf(nodes, spread, familyOf(key));
  const pool = poolNameOf(key);
  const rank = (node: NodeEntry): readonly number[] => {
    const zone = spread === undefined ? undefined : zones?.get(node.labels[spread]);
    return [
      suspects(node) ? 1 : 0,
      fullness(node) >= 1 ? 1 : 0,
      isAffine(node, affinity) ? 0 : 1,
      zone?.sessions ?? 0,
      zone === undefined ? 0 : zone.load / zone.size,
      pool === undefined ? 0 : (node.busy?.[pool] ?? 0),
      fullness(node),
    ];
  };
  const ranked = nodes.map((node) => ({ node, rank: rank(node) }));
  const sorted = ranked.toSorted(
    (one, other) => compareRanks(one.rank, other.rank) || compare(one.node.boot, other.node.boot),
  );
  return sorted.map(({ node }) => node);
}

/** Counts a session as placed on a node, until the node tells its load itself. */
export function countPlaced(node: NodeEntry, key: string): void {
  const family = familyOf(key);
  const families = { ...node.families, [family]: (node.families?.[family] ?? 0) + 1 };
  Object.assign(node, { load: node.load + 1, families });
}

/** Counts a turn of a pool as placed on a node, until the node tells its turns itself. */
export function countTurn(node: NodeEntry, pool: string): void {
  Object.assign(node, { busy: { ...node.busy, [pool]: (node.busy?.[pool] ?? 0) + 1 } });
}

/** Returns the rule by which these nodes place the session or the pool. Nodes of two releases may differ: the first by boot id decides. */
export function ruleFor(nodes: readonly NodeEntry[], key: string): PlacementRule {
  const inOrder = nodes.toSorted((one, other) => compare(one.boot, other.boot));
  for (const { hosts } of inOrder) {
    const rule = ruleOf(hosts, key);
    if (rule !== undefined) return rule;
  }
  return {};
}

function ruleOf({ rules, sessions, pools }: Hosted, key: string): PlacementRule | undefined {
  if (rules === undefined) return undefined;
  if (sessions.includes(key)) return rules[key];
  const family = familyOf(key);
  return rules[pools.includes(family) ? poolRule(family) : templateRule(family)];
}

/** The key of a template's rule in {@link Hosted.rules}. */
export function templateRule(template: string): string {
  return `template ${template}`;
}

/** The key of a pool's rule in {@link Hosted.rules}. */
export function poolRule(pool: string): string {
  return `pool ${pool}`;
}

/** Load over capacity: below 1 while there is capacity. A node without a limit counts as 64 processes. */
export function fullness({ load, maxProcesses }: Pick<NodeEntry, "load" | "maxProcesses">): number {
  return load / sizeOf({ maxProcesses });
}

/** How many processes a node may have, for comparisons. */
export function sizeOf({ maxProcesses = 64 }: Pick<NodeEntry, "maxProcesses">): number {
  return maxProcesses;
}

/** Whether a node has all of these labels. */
export function isAffine({ labels }: Pick<NodeEntry, "labels">, affinity: Readonly<Record<string, string>>): boolean {
  return Object.entries(affinity).every(([label, value]) => labels[label] === value);
}

interface Zone {
  sessions: number;
  load: number;
  size: number;
}

/** Adds up nodes by their value of a label. Nodes without it are a zone of their own. */
function zonesOf(nodes: readonly NodeEntry[], label: string, family: string): ReadonlyMap<string | undefined, Zone> {
  const zones = new Map<string | undefined, Zone>();
  for (const node of nodes) {
    const value = node.labels[label];
    const zone = zones.get(value) ?? { sessions: 0, load: 0, size: 0 };
    zone.sessions += node.families?.[family] ?? 0;
    zone.load += node.load;
    zone.size += sizeOf(node);
    zones.set(value, zone);
  }
  return zones;
}

function compareRanks(one: readonly number[], other: readonly number[]): number {
  for (const [at, value] of one.entries()) {
    const difference = value - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
