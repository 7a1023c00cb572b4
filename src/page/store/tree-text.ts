import type { RestartIntensity, TreeNode } from "../../wire/tree.ts";
import { plural } from "./format.ts";

const STRATEGIES: Readonly<Record<string, string>> = {
  one_for_one: "A child that exits is restarted alone.",
  one_for_all: "When a child exits, all children are restarted.",
  rest_for_one: "When a child exits, it and those that were started after it are restarted.",
};

/** Explains a strategy. */
export function strategyText(strategy: string): string {
  return Object.hasOwn(STRATEGIES, strategy) ? (STRATEGIES[strategy] ?? "") : "";
}

/** Explains a restart intensity: `3 restarts in 5 s per child, then quarantine`. */
export function intensityText({ maxRestarts, maxSeconds, onMaxRestarts }: RestartIntensity): string {
  const limit = `${plural(maxRestarts, "restart")} in ${maxSeconds} s`;
  return onMaxRestarts === "escalate"
    ? `${limit} for all children together; on more it ends, and its own supervisor decides`
    : `${limit} per child; a child with more is quarantined`;
}

/** Returns a restart intensity in short: `3 in 5 s`. */
export function intensityBrief({ maxRestarts, maxSeconds }: RestartIntensity): string {
  return `${maxRestarts} in ${maxSeconds} s`;
}

/** An exit of a child as the page shows it. */
export interface ShownExit {
  readonly at: number;
  readonly message: string;
  readonly class?: string | undefined;
  /** `code 1`, `SIGKILL`. */
  readonly how?: string | undefined;
  readonly stderr?: string | undefined;
}

/** Returns the last exits of a child, the newest first. */
export function exitsOf(node: TreeNode | undefined): readonly ShownExit[] {
  if (node === undefined || node.kind === "template" || node.kind === "pool") return [];
  if (node.kind !== "session") return (node.lastExits ?? []).toReversed();
  return node.lastExits.toReversed().map(({ at, message, class: kind, code, signal, stderr }) => {
    const how = signal ?? (code === undefined ? undefined : `code ${code}`);
    return { at, message, class: kind, how, stderr: stderr === "" ? undefined : stderr };
  });
}

/** Returns when a child is tried again, if it waits for that. */
export function retryOf(node: TreeNode | undefined): number | undefined {
  if (node === undefined || node.kind === "template") return undefined;
  return node.kind === "session" || node.kind === "pool" ? node.status.retryAt : node.retryAt;
}

/** Returns the restarts of a child in its current series of crashes. */
export function seriesOf(node: TreeNode | undefined): number {
  return node === undefined || node.kind === "template" || node.kind === "pool" ? 0 : (node.restarts ?? 0);
}
