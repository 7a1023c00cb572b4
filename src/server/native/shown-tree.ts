import type { EffectiveOptions } from "../../application/inspection/effective-options.ts";
import type {
  ChildEnd,
  ChildInspection,
  Inspection,
  SessionInspection,
  SupervisorInspection,
} from "../../application/inspection/inspection.ts";
import type { Json } from "../../wire/json.ts";
import type {
  EffectiveOption,
  ChildEnd as ShownEnd,
  SupervisorNode,
  Tree,
  TreeNode,
  TreeQuery,
} from "../../wire/tree.ts";
import { shownPool } from "./pool-operations.ts";
import type { ShowName } from "./shown-name.ts";
import { shownStatus } from "./shown-session.ts";

/** Returns a tree as the API shows it: without the causes of exits, which may be anything. */
export function shownTree(tree: SupervisorInspection, show: ShowName, { options: all = true }: TreeQuery = {}): Tree {
  const { capacity, journal, budget, options } = tree;
  const shared = { capacity, journal, ...(budget !== undefined && { budget }) };
  return { ...shownSupervisor(tree, show, all), ...shared, ...(all && { options: shownOptions(options) }) };
}

function shownSupervisor(supervisor: Inspection, show: ShowName, all: boolean): SupervisorNode {
  const { kind, name, state, strategy, intensity, children, restarts, lastExits, retryAt } = supervisor;
  return {
    kind,
    name,
    state,
    strategy,
    intensity,
    children: children.map((child) => shownChild(child, show, all)),
    ...(restarts !== undefined && { restarts }),
    ...(retryAt !== undefined && { retryAt }),
    ...(lastExits !== undefined && { lastExits: lastExits.map(shownEnd) }),
  };
}

function shownChild(child: ChildInspection, show: ShowName, all: boolean): TreeNode {
  switch (child.kind) {
    case "supervisor":
      return shownSupervisor(child, show, all);
    case "session": {
      const { options, ...session } = shownInspection(child, show);
      return { kind: "session", ...session, ...(all && { options }) };
    }
    case "pool":
      return { ...child, status: shownPool(child.status, show) };
    case "worker":
      return { ...child, lastExits: child.lastExits.map(shownEnd) };
    case "template":
      return child;
  }
}

/** Returns a session of the tree as the API shows it. */
export function shownInspection(
  { status, budget, options, restarts, lastExits }: SessionInspection,
  show: ShowName,
): Omit<Extract<TreeNode, { readonly kind: "session" }>, "kind"> {
  return {
    status: shownStatus(status, show),
    ...(budget !== undefined && { budget }),
    options: shownOptions(options),
    restarts,
    lastExits,
  };
}

function shownEnd({ at, message }: ChildEnd): ShownEnd {
  return { at, message };
}

/** Returns options with their origins as the API shows them. */
export function shownOptions(options: EffectiveOptions): Readonly<Record<string, EffectiveOption>> {
  const shown = Object.entries(options).map(([name, { value, origin }]) => [
    name,
    // The inspection has replaced functions and other values that are not JSON.
    { ...(value !== undefined && { value: value as Json }), origin: origin as object as Json },
  ]);
  return Object.fromEntries(shown) as Readonly<Record<string, EffectiveOption>>;
}
