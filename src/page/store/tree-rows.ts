import type { TreeItem } from "./tree-item.ts";

/** A row of the tree as it is unfolded. */
export interface TreeRow {
  readonly item: TreeItem;
  /** From 1. */
  readonly level: number;
  /** From 1, among its siblings. */
  readonly position: number;
  readonly siblings: number;
  /** Left out for an item without children. */
  readonly expanded?: boolean;
  readonly parent?: string | undefined;
}

/** A template or a pool with more sessions is folded until somebody unfolds it. */
const MANY = 12;

/** Returns whether an item is unfolded. @param chosen what the reader has unfolded and folded, by id */
function isExpanded({ id, kind, children }: TreeItem, chosen: ReadonlyMap<string, boolean>): boolean {
  return chosen.get(id) ?? ((kind !== "template" && kind !== "pool") || children.length <= MANY);
}

/** Returns the rows that are seen: of a search only what matches and what leads to it, unfolded. */
export function treeRows(root: TreeItem, chosen: ReadonlyMap<string, boolean>, text: string): readonly TreeRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: TreeRow[] = [];
  const hits = words.length === 0 ? undefined : hitsOf(root, words);
  const add = (item: TreeItem, level: number, position: number, siblings: number, parent?: string): void => {
    const children = hits === undefined ? item.children : item.children.filter((child) => hits.has(child));
    const expanded = hits !== undefined || isExpanded(item, chosen);
    rows.push({ item, level, position, siblings, parent, ...(children.length > 0 && { expanded }) });
    if (!expanded) return;
    for (const [index, child] of children.entries()) add(child, level + 1, index + 1, children.length, item.id);
  };
  if (hits === undefined || hits.has(root)) add(root, 1, 1, 1);
  return rows;
}

/** Returns the items that match, and those above them. */
function hitsOf(root: TreeItem, words: readonly string[]): ReadonlySet<TreeItem> {
  const hits = new Set<TreeItem>();
  const look = (item: TreeItem): boolean => {
    const below = item.children.map(look).some(Boolean);
    const isHit = below || words.every((word) => item.searched.includes(word));
    if (isHit) hits.add(item);
    return isHit;
  };
  look(root);
  return hits;
}

/** What a key does in a tree: goes to a row, or unfolds or folds one. */
export type TreeMove =
  | { readonly does: "go"; readonly id: string }
  | { readonly does: "fold"; readonly id: string; readonly expanded: boolean };

/** Returns what a key does, as in the tree pattern of ARIA; undefined if nothing. */
export function treeMove(rows: readonly TreeRow[], active: string | undefined, key: string): TreeMove | undefined {
  const at = Math.max(
    0,
    rows.findIndex(({ item }) => item.id === active),
  );
  const row = rows[at];
  if (row === undefined) return undefined;
  const go = (to: number): TreeMove | undefined => {
    const id = rows[to]?.item.id;
    return id === undefined ? undefined : { does: "go", id };
  };
  const { id } = row.item;
  switch (key) {
    case "ArrowDown":
      return go(at + 1);
    case "ArrowUp":
      return go(at - 1);
    case "Home":
      return go(0);
    case "End":
      return go(rows.length - 1);
    case "ArrowRight":
      if (row.expanded === false) return { does: "fold", id, expanded: true };
      return row.expanded === true ? go(at + 1) : undefined;
    case "ArrowLeft":
      if (row.expanded === true) return { does: "fold", id, expanded: false };
      return row.parent === undefined ? undefined : { does: "go", id: row.parent };
    default: {
      if (key.length !== 1 || key === " " || key === "/") return undefined;
      const order = [...rows.keys()].map((step) => (at + 1 + step) % rows.length);
      const next = order.find((index) => rows[index]?.item.label.toLowerCase().startsWith(key.toLowerCase()));
      return next === undefined ? undefined : go(next);
    }
  }
}
