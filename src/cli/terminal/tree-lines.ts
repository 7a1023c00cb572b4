import type { Tree, TreeNode } from "../../client/index.ts";
import { styledState } from "./colors.ts";
import { nameArgument } from "./name-argument.ts";
import { oneLine } from "./text.ts";

/** Draws a supervisor and everything below it. */
export function treeLines(tree: Tree): string {
  return [labelOf(tree), ...childLines(tree.children, "")].join("\n");
}

function childLines(children: readonly TreeNode[], indent: string): string[] {
  return children.flatMap((child, at) => {
    const isLast = at === children.length - 1;
    const below = child.kind === "supervisor" ? childLines(child.children, `${indent}${isLast ? "   " : "│  "}`) : [];
    return [`${indent}${isLast ? "└─ " : "├─ "}${labelOf(child)}`, ...below];
  });
}

function labelOf(node: TreeNode): string {
  switch (node.kind) {
    case "supervisor":
      return `${oneLine(node.name)} (${node.strategy}) ${styledState(node.state)}`;
    case "session":
      return `${oneLine(nameArgument(node.status.name))} ${styledState(node.status.state)}`;
    case "template":
      return `${oneLine(node.name)} (template) ${node.sessions} ${node.sessions === 1 ? "session" : "sessions"}`;
    case "pool":
      return `${oneLine(node.status.name)} (pool) ${node.status.idle} of ${node.status.size} idle`;
    case "worker":
      return `${oneLine(node.name)} (worker) ${styledState(node.state)}`;
  }
}
