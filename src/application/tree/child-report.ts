import { CastellanError, type ExitRecord } from "../../errors.ts";
import { formatName } from "../../names.ts";
import { printable } from "../../printable.ts";
import { type ChildInfo, reasonOf } from "../../supervision/child-spec.ts";
import { type ChildPlan, isFamily } from "../options/child-options.ts";
import type { Branch } from "./branch.ts";
import type { NotStarted } from "./supervisor-reports.ts";

/** Returns the record of a session's exit, which is the cause of the child's exit; makes one from any other cause. */
export function exitRecord(cause: unknown, at: number): ExitRecord {
  if (typeof cause === "object" && cause !== null && "class" in cause && "message" in cause) return cause as ExitRecord;
  return { class: "crash", message: printable(cause instanceof Error ? cause.message : String(cause)), at };
}

/** The state of a worker or a supervisor at one moment. Sessions report themselves. */
export interface ChildReport {
  readonly id: string;
  /** The child in messages: `worker "db"`, with the supervisors above it. */
  readonly who: string;
  readonly state: ChildInfo["state"];
  /** The number of recorded exits, and the cause of the last one. */
  readonly exits: number;
  readonly cause: unknown;
  /** Whether it is a child of the root, so that calls can address it. */
  readonly isOfRoot: boolean;
}

/**
 * Returns the reports of all workers and supervisors below `branch`, in start order. The children of a supervisor that starts or
 * restarts have its state. The children of a quarantined or terminated supervisor are left out.
 */
export function childReports(branch: Branch, path: readonly string[] = []): ChildReport[] {
  return branch.plans.flatMap((plan) => {
    if (isFamily(plan) || plan.kind === "session") return [];
    const below = plan.kind === "supervisor" ? branch.below(plan.id) : undefined;
    const report = reportOf(branch, plan, path);
    // A supervisor that ends by itself counts as running until its children are gone; only then it restarts or is quarantined.
    const isEnding = report.state === "running" && below?.tree?.ending === true;
    const own = isEnding ? { ...report, state: "restarting" as const } : report;
    if (below === undefined || own.state === "quarantined" || own.state === "terminated") return [own];
    const children = childReports(below, [...path, plan.id]);
    if (own.state === "running") return [own, ...children];
    return [own, ...children.map((child) => ({ ...child, state: own.state }))];
  });
}

function reportOf(branch: Branch, plan: ChildPlan, path: readonly string[]): ChildReport {
  const info = branch.tree?.child(plan.id);
  const exits = info?.lastExits ?? [];
  return {
    id: plan.id,
    who: whoOf(plan, path),
    // The tree learns about the child when the child's supervisor first starts.
    state: branch.tree === undefined ? "starting" : (info?.state ?? "terminated"),
    exits: exits.length,
    cause: exits.at(-1)?.exit.cause,
    isOfRoot: path.length === 0,
  };
}

/** Returns the name of a child in messages. */
export function whoOf({ kind, id }: ChildPlan, path: readonly string[]): string {
  const above = path.length === 0 ? "" : ` of supervisor ${path.map((name) => JSON.stringify(name)).join(" / ")}`;
  return `${kind} ${JSON.stringify(id)}${above}`;
}

/** Returns the problem of a child, in words; undefined if it runs, or was terminated by a call. */
export function problemOf({ who, state, exits, cause, isOfRoot, id }: ChildReport): string | undefined {
  if (state === "quarantined") {
    const advice = isOfRoot ? `Fix the cause and call \`restartChild(${JSON.stringify(id)})\`.` : "Fix the cause.";
    return `${who} is quarantined after ${exits} failed starts or crashes, the last: ${reasonOf(cause)}. ${advice}`;
  }
  return state === "restarting" ? `${who} is being restarted; the last exit: ${reasonOf(cause)}` : undefined;
}

/** Returns the error of a child whose start failed. */
export function startError(message: string, cause: unknown): CastellanError {
  return new CastellanError("CHILD_START_FAILED", message, { cause });
}

/** Returns the error of a supervisor all of whose children must start. */
export function bootFailure(supervisor: string, failed: readonly NotStarted[]): CastellanError {
  const errors = failed.map(({ error }) => error);
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, "children did not start");
  const why = failed.map(({ name, error }) => `${formatName(name)}: ${startReason(error)}`).join("; ");
  return startError(`${supervisor} did not start, since not all of its children started. ${why}.`, cause);
}

/** Returns an error's message, without the advice for a quarantined session. */
function startReason(error: CastellanError): string {
  if (CastellanError.is(error, "SESSION_QUARANTINED")) return error.details.lastExits.at(-1)?.message ?? error.message;
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}
