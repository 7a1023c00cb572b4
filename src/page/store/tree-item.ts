import type { FoundState } from "../../wire/session.ts";
import type {
  ChildList,
  ChildState,
  ChildSummary,
  RestartIntensity,
  SupervisorNode,
  Tree,
  TreeNode,
} from "../../wire/tree.ts";
import { type FleetRow, STATES } from "./fleet-row.ts";
import { keyOf, type Name } from "./name.ts";
import { plain, shownName } from "./shown-name.ts";

/** The state of a row: that of a session, or that of another child. */
export type ItemState = FoundState | ChildState;

/** A child of the supervision tree as the page shows it. The sessions of a template and of a pool are below it. */
export interface TreeItem {
  /** Unique in the tree, and the same after the tree is read again. */
  readonly id: string;
  readonly kind: TreeNode["kind"];
  readonly label: string;
  readonly state: ItemState;
  /** The name of a session. */
  readonly name?: Name;
  /** Left out for a stopped child of which the server tells only that. */
  readonly node?: TreeNode;
  /** The restarts that its supervisor allows; left out for the root. */
  readonly intensity?: RestartIntensity;
  /** Left out unless it is a child of the root supervisor. */
  readonly child?: ChildSummary;
  readonly children: readonly TreeItem[];
  /** In lower case: label, kind and state. */
  readonly searched: string;
}

type Rows = ReadonlyMap<string, FleetRow>;

/** Returns the root of the tree. @param rows the sessions as they are now, which may be newer than the tree */
export function treeItems(tree: Tree, { children }: ChildList, rows: Rows): TreeItem {
  const known = new Map(children.map((child) => [`${child.type} ${keyOf(child.id)}`, child]));
  const seen = itemsBelow(tree, tree.name, rows, known);
  // A stopped child may be in the list of children only.
  const missing = [...known.values()].flatMap((child): TreeItem[] => {
    if (child.type === "template" || child.type === "pool") return [];
    const facts = { kind: child.type, label: shownName(child.id), state: child.state, child };
    return [item(tree.name, { ...facts, ...(child.type === "session" && { name: child.id }), children: [] })];
  });
  const { kind, name, state } = tree;
  return item("", { kind, label: plain(name), state, node: tree, children: [...seen, ...missing] });
}

/** Returns the items of a supervisor's children. Takes those of the root supervisor out of `known`. */
function itemsBelow(
  supervisor: SupervisorNode,
  parent: string,
  rows: Rows,
  known: Map<string, ChildSummary>,
): readonly TreeItem[] {
  // The sessions of a template, and the members of a pool, have its name as the first part of theirs.
  const families = familiesOf(supervisor.children, parent);
  const top: TreeItem[] = [];
  const members = new Map<string, TreeItem[]>();
  for (const node of supervisor.children) {
    const one = { ...itemOf(node, parent, rows, known), intensity: supervisor.intensity };
    const family = Array.isArray(one.name) ? families.get(String(one.name[0])) : undefined;
    if (family === undefined) {
      top.push(one);
      continue;
    }
    const others = members.get(family);
    if (others === undefined) members.set(family, [one]);
    else others.push(one);
  }
  return top.map((one) => {
    const below = members.get(one.id);
    return below === undefined ? one : { ...one, children: below };
  });
}

/** Returns the ids of the templates and pools among siblings, by name. */
function familiesOf(nodes: readonly TreeNode[], parent: string): ReadonlyMap<string, string> {
  return new Map(
    nodes.flatMap((node): [string, string][] => {
      if (node.kind === "template") return [[node.name, idOf(parent, "template", plain(node.name))]];
      return node.kind === "pool" ? [[node.status.name, idOf(parent, "pool", plain(node.status.name))]] : [];
    }),
  );
}

function itemOf(node: TreeNode, parent: string, rows: Rows, known: Map<string, ChildSummary>): TreeItem {
  const take = (id: Name): Pick<TreeItem, "child"> => {
    const key = `${node.kind} ${keyOf(id)}`;
    const child = known.get(key);
    known.delete(key);
    return child === undefined ? {} : { child };
  };
  switch (node.kind) {
    case "session": {
      const { name } = node.status;
      const state = rows.get(keyOf(name))?.info.state ?? node.status.state;
      return item(parent, { kind: "session", label: shownName(name), state, name, node, ...take(name), children: [] });
    }
    case "supervisor": {
      const { name, state } = node;
      const id = idOf(parent, "supervisor", plain(name));
      const children = itemsBelow(node, id, rows, new Map());
      return item(parent, { kind: "supervisor", label: plain(name), state, node, ...take(name), children });
    }
    case "worker": {
      const { name, state } = node;
      return item(parent, { kind: "worker", label: plain(name), state, node, ...take(name), children: [] });
    }
    case "template": {
      return item(parent, { kind: "template", label: plain(node.name), state: "running", node, children: [] });
    }
    case "pool": {
      const { name } = node.status;
      return item(parent, { kind: "pool", label: plain(name), state: "running", node, children: [] });
    }
  }
}

function item(parent: string, facts: Omit<TreeItem, "id" | "searched">): TreeItem {
  const { kind, label, state, name } = facts;
  const searched = `${label} ${kind} ${state}`.toLowerCase();
  return { ...facts, id: idOf(parent, kind, name === undefined ? label : keyOf(name)), searched };
}

function idOf(parent: string, kind: TreeNode["kind"], name: string): string {
  return `${parent}/${kind}:${name}`;
}

/** Returns how many sessions below an item are in each state, those that need somebody first. */
export function statesBelow(of: TreeItem): ReadonlyMap<FoundState, number> {
  const counts = new Map<string, number>();
  const count = ({ kind, state, children }: TreeItem): void => {
    if (kind === "session") counts.set(state, (counts.get(state) ?? 0) + 1);
    children.forEach(count);
  };
  of.children.forEach(count);
  return new Map(STATES.flatMap((state) => (counts.has(state) ? [[state, counts.get(state) ?? 0]] : [])));
}

/** Returns the item of an id, or undefined. */
export function itemOfId(root: TreeItem, id: string): TreeItem | undefined {
  if (root.id === id) return root;
  for (const child of root.children) {
    const found = itemOfId(child, id);
    if (found !== undefined) return found;
  }
  return undefined;
}
