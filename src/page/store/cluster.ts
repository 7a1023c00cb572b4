import type { GlobalSessionInfo, NodeInfo } from "../../wire/cluster.ts";
import { isGlobalName, keyOf } from "./name.ts";
import { plain, shownName } from "./shown-name.ts";

/** How a node is. `silent`: it has missed beats and may soon count as dead. */
export type NodeCondition = "alive" | "silent" | "draining" | "dead";

/** Returns how a node is. */
export function conditionOf({ state, silentForMs, staleAfterMs }: NodeInfo): NodeCondition {
  if (state !== "alive") return state;
  // A healthy node beats at least three times in this time.
  return silentForMs > staleAfterMs / 2 ? "silent" : "alive";
}

/** Returns the nodes that can take a session from another one, the least loaded first. */
export function targetsFor(nodes: readonly NodeInfo[], owner: string | undefined): NodeInfo[] {
  const fullness = ({ load, maxProcesses = 64 }: NodeInfo): number => load / maxProcesses;
  return nodes
    .filter(({ name, state }) => state === "alive" && name !== owner)
    .toSorted((one, other) => fullness(one) - fullness(other));
}

/** Returns whether nodes run different releases of Castellan, as during a deploy. */
export function isMixed(nodes: readonly NodeInfo[]): boolean {
  return new Set(nodes.filter(({ state }) => state !== "dead").map(({ release }) => release)).size > 1;
}

/** What the list of sessions shows. */
export interface OwnersView {
  readonly text: string;
  /** Only sessions of this node; undefined for all. */
  readonly node: string | undefined;
}

/** Reads a view from the query of an address. */
export function ownersViewOf(query: URLSearchParams): OwnersView {
  return { text: query.get("q") ?? "", node: query.get("node") ?? undefined };
}

/** Returns the query of a view. */
export function ownersQueryOf({ text, node }: OwnersView): string {
  const query = new URLSearchParams();
  if (text !== "") query.set("q", text);
  if (node !== undefined) query.set("node", node);
  return query.size === 0 ? "" : `?${query}`;
}

/** A global session as the list shows and finds it. */
export interface OwnerRow {
  readonly key: string;
  readonly label: string;
  readonly info: GlobalSessionInfo;
  readonly searched: string;
}

/** Returns the row of a session. */
export function ownerRowOf(info: GlobalSessionInfo): OwnerRow {
  const label = shownName(isGlobalName(info.name) ? info.name.global : info.name);
  const labels = Object.entries(info.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const searched = [label, plain(info.title ?? ""), ...labels, info.node ?? ""].join("\n").toLowerCase();
  return { key: keyOf(info.name), label, info, searched };
}

/** Returns the rows of a view. */
export function matchingOwners(rows: readonly OwnerRow[], { text, node }: OwnersView): OwnerRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(
    ({ searched, info }) =>
      (node === undefined || info.node === node) && words.every((word) => searched.includes(word)),
  );
}
