import { nameOfKey } from "../names.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { Hosted, NodeEntry } from "./protocol/engine.ts";

/** Whether a node that hosts this has what the session of this name is to be. */
export function covers(hosts: Hosted, key: string): boolean {
  if (hosts.sessions.includes(key)) return true;
  const name = nameOfKey(key);
  if (typeof name === "string" || name.length < 3) return false;
  return hosts.templates.includes(String(name[1]));
}

/** Returns the name that a pool with this key has, or undefined if the key can only be a session's. Whether there is one, hosts say. */
export function poolNameOf(key: string): string | undefined {
  const name = nameOfKey(key);
  const isShort = typeof name !== "string" && name.length === 2 && name[0] === GLOBAL;
  return isShort ? String(name[1]) : undefined;
}

/**
 * The node on which a session without an owner should live: of those that live, take sessions and know what it is to be, the
 * one with the least to do for its size; one that has no room only if none has. The same for everybody who sees the same nodes.
 */
export function placed(nodes: readonly NodeEntry[], key: string): NodeEntry | undefined {
  const able = nodes.filter((node) => node.alive && !node.draining && covers(node.hosts, key));
  return able.toSorted((one, other) => fullness(one) - fullness(other) || compare(one.boot, other.boot))[0];
}

/** Below 1 while there is room. A node that has no limit counts as one with 64 processes. */
export function fullness({ load, maxProcesses = 64 }: Pick<NodeEntry, "load" | "maxProcesses">): number {
  return load / maxProcesses;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
