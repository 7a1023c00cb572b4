import { CastellanError } from "../errors.ts";
import { type ChildInfo, reasonOf } from "../supervision/child-spec.ts";
import type { Branch } from "./branch.ts";
import { type ChildPlan, isFamily } from "./child-options.ts";

/**
 * A worker or a supervisor of a tree, and how it stands: `up`; `starting`, for the first time; `restarting`; `set_aside`; `at_rest`,
 * because that was asked for or it has ended as meant. Sessions tell of themselves.
 */
export interface ChildStanding {
  readonly id: string;
  /** For messages: `worker "db"`, with the supervisors that it is below. */
  readonly who: string;
  readonly standing: "up" | "starting" | "restarting" | "set_aside" | "at_rest";
  /** How many of its last exits are known, and what the last of them had as its cause. */
  readonly exits: number;
  readonly cause: unknown;
  /** Whether it is a child of the root, so that calls can name it. */
  readonly isOfRoot: boolean;
}

const STANDINGS = {
  running: "up",
  starting: "starting",
  restarting: "restarting",
  quarantined: "set_aside",
  terminated: "at_rest",
} as const satisfies { readonly [State in ChildInfo["state"]]: ChildStanding["standing"] };

/**
 * All workers and supervisors below `branch`, in the order of their start. What is below a supervisor that is not up stands as that
 * does, and is left out if it does not come back by itself.
 */
export function standingsOf(branch: Branch, path: readonly string[] = []): ChildStanding[] {
  return branch.plans.flatMap((plan) => {
    if (isFamily(plan) || plan.kind === "session") return [];
    const below = plan.kind === "supervisor" ? branch.below(plan.id) : undefined;
    const shown = standingOf(branch, plan, path);
    // One that ends by itself is up until all below it are gone, and then comes back or is set aside.
    const own =
      shown.standing === "up" && below?.tree?.ending === true ? { ...shown, standing: "restarting" as const } : shown;
    if (below === undefined || own.standing === "set_aside" || own.standing === "at_rest") return [own];
    const children = standingsOf(below, [...path, plan.id]);
    if (own.standing === "up") return [own, ...children];
    return [own, ...children.map((child) => ({ ...child, standing: own.standing }))];
  });
}

function standingOf(branch: Branch, plan: ChildPlan, path: readonly string[]): ChildStanding {
  const info = branch.tree?.child(plan.id);
  const exits = info?.lastExits ?? [];
  return {
    id: plan.id,
    who: whoOf(plan, path),
    // Until its supervisor is up for the first time the tree does not know it.
    standing: branch.tree === undefined ? "starting" : info === undefined ? "at_rest" : STANDINGS[info.state],
    exits: exits.length,
    cause: exits.at(-1)?.exit.cause,
    isOfRoot: path.length === 0,
  };
}

/** A child for messages. */
export function whoOf({ kind, id }: ChildPlan, path: readonly string[]): string {
  const above = path.length === 0 ? "" : ` of supervisor ${path.map((name) => JSON.stringify(name)).join(" / ")}`;
  return `${kind} ${JSON.stringify(id)}${above}`;
}

/** Why a child does not do what it is there for, in words, if it does not. */
export function lackOf({ who, standing, exits, cause, isOfRoot, id }: ChildStanding): string | undefined {
  if (standing === "set_aside") {
    const advice = isOfRoot ? `Mend the cause and call \`restartChild(${JSON.stringify(id)})\`.` : "Mend the cause.";
    return `${who} has been set aside after ${exits} failed starts or crashes, the last: ${reasonOf(cause)}. ${advice}`;
  }
  return standing === "restarting" ? `${who} is being restarted; the last exit: ${reasonOf(cause)}` : undefined;
}

/** The error of a child that has not come up. */
export function startError(message: string, cause: unknown): CastellanError {
  return new CastellanError("CHILD_START_FAILED", message, { cause });
}
