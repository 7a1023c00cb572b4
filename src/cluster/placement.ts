import { nameOfKey } from "../names.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { Hosted, NodeEntry } from "./protocol/engine.ts";

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

/**
 * Returns the node for a session without an owner: of the live nodes that declare it and are not draining, the least
 * loaded for its size. Deterministic: every process that sees the same nodes picks the same one.
 */
export function pickNode(nodes: readonly NodeEntry[], key: string): NodeEntry | undefined {
  const able = nodes.filter((node) => node.alive && !node.draining && covers(node.hosts, key));
  return able.toSorted((one, other) => fullness(one) - fullness(other) || compare(one.boot, other.boot))[0];
}

/** Load over capacity: below 1 while there is capacity. A node without a limit counts as 64 processes. */
export function fullness({ load, maxProcesses = 64 }: Pick<NodeEntry, "load" | "maxProcesses">): number {
  return load / maxProcesses;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
