import { CastellanError } from "../../errors.ts";
import { didYouMean, formatName, nameKey, nearMisses } from "../../names.ts";
import { isSession, serverOf } from "../../session/session.ts";
import type { ChildCounts } from "../../supervision/supervisor.ts";
import { resolveRef, type SessionRef, staleHandleError } from "../names/reference.ts";
import type { ChildPlan } from "../options/child-options.ts";
import type { SessionTable } from "./session-table.ts";
import type { SupervisorPhase } from "./supervisor-phase.ts";
import type { ChildSummary } from "./supervisor-reports.ts";
import type { Tree } from "./tree.ts";

/**
 * A supervisor's own children, with OTP's functions to list, add, stop, restart and delete them. `Supervisor` documents the
 * methods.
 */
export class RootChildren {
  /** The name of the supervisor. */
  readonly #supervisor: string;
  readonly #tree: Tree;
  readonly #sessions: SessionTable;
  readonly #phase: SupervisorPhase;

  constructor(supervisor: string, tree: Tree, sessions: SessionTable, phase: SupervisorPhase) {
    this.#supervisor = supervisor;
    this.#tree = tree;
    this.#sessions = sessions;
    this.#phase = phase;
  }

  which(): ChildSummary[] {
    return this.#tree.root.plans.map(({ kind, id }) => {
      const name = this.#sessions.ofChild(id)?.session.name ?? id;
      return { id: name, type: kind, state: this.#stateOf(kind, id) };
    });
  }

  count(): ChildCounts {
    return this.#tree.root.tree?.countChildren() ?? { specs: 0, active: 0, supervisors: 0, workers: 0 };
  }

  async start(plan: ChildPlan): Promise<void> {
    await this.#tree.add(this.#tree.root, plan);
  }

  async terminate(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    for (const { server } of this.#tree.membersOf(plan)) server.close("child");
    await this.#tree.inRoot((tree) => tree.terminateChild(plan.id));
  }

  async restart(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#tree.inRoot((tree) => tree.restartChild(plan.id));
    const [failure] = await this.#tree.failures(this.#tree.membersOf(plan));
    if (failure !== undefined && plan.kind === "session") throw failure.error;
  }

  async delete(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#tree.inRoot((tree) => tree.deleteChild(plan.id));
    this.#tree.deletePlan(this.#tree.root, plan);
  }

  #child(reference: SessionRef): ChildPlan {
    this.#phase.refuseIfStopped();
    const child = resolveRef(reference);
    const name = isSession(child) ? child.name : child;
    if (isSession(child) && this.#sessions.find(name)?.server !== serverOf(child)) throw staleHandleError(child);
    const ids = [nameKey(name), name];
    const plan = this.#tree.root.plans.find(({ id }) => ids.includes(id));
    if (plan !== undefined) return plan;
    const known = this.#tree.root.plans.map(({ id }) => id);
    const near = didYouMean(nearMisses(typeof name === "string" ? name : nameKey(name), known));
    throw new CastellanError("CHILD_NOT_FOUND", `${this.#supervisor} has no child ${formatName(name)}${near}.`);
  }

  #stateOf(kind: ChildPlan["kind"], id: string): ChildSummary["state"] {
    // A template or a pool has no process of its own.
    return kind === "template" || kind === "pool"
      ? "running"
      : (this.#tree.root.tree?.child(id)?.state ?? "terminated");
  }
}
