import { CastellanError } from "../../errors.ts";
import {
  belongsTo,
  type ChildPlan,
  type FamilyPlan,
  familiesOf,
  isFamily,
  type SessionPlan,
} from "../options/child-options.ts";
import type { Branch } from "./branch.ts";
import { type SessionChange, type Step, stepsBetween } from "./reconcile.ts";
import type { SessionTable } from "./session-table.ts";
import type { ReconcileReport } from "./supervisor-reports.ts";
import type { Tree } from "./tree.ts";

/** A reconciliation has two passes over the tree. */
type Pass = "remove" | "rest";

type Mutable<Report> = {
  -readonly [Field in keyof Report]: Report[Field] extends readonly (infer Item)[] ? Item[] : Report[Field];
};

/** Executes the steps of a reconciliation one after the other, and continues after a failed step. */
export class Reconciler {
  readonly #tree: Tree;
  readonly #sessions: SessionTable;
  readonly #report: Mutable<ReconcileReport> = { added: [], removed: [], changed: [], failed: [] };
  readonly #refuseIfStopped: () => void;

  /** @param refuseIfStopped throws if the supervisor has been stopped in the meantime */
  constructor(tree: Tree, sessions: SessionTable, refuseIfStopped: () => void) {
    this.#tree = tree;
    this.#sessions = sessions;
    this.#refuseIfStopped = refuseIfStopped;
  }

  /** Changes the tree to the `wanted` children. */
  async reconcile(wanted: readonly ChildPlan[]): Promise<ReconcileReport> {
    const { root } = this.#tree;
    const present = root.plans;
    // Removes children at all levels before it adds any, so that a child that moves to another level finds its name free.
    await this.#reconcileBranch(root, present, wanted, "remove");
    await this.#reconcileBranch(root, present, wanted, "rest");
    return this.#report;
  }

  async #reconcileBranch(
    branch: Branch,
    before: readonly ChildPlan[],
    after: readonly ChildPlan[],
    pass: Pass,
  ): Promise<void> {
    for (const step of stepsBetween(before, after)) {
      if (step.type !== "descend" && (step.type === "remove") !== (pass === "remove")) continue;
      const name = step.plan.kind === "session" ? step.plan.settings.name : step.plan.id;
      try {
        await this.#carryOut(step, branch, pass);
        if (step.type === "add") this.#report.added.push(name);
        if (step.type === "remove") this.#report.removed.push(name);
        if (step.type === "change" || (step.type === "revise" && step.changed)) this.#report.changed.push(name);
      } catch (error) {
        this.#refuseIfStopped();
        if (!CastellanError.is(error)) throw error;
        this.#report.failed.push({ name, error });
      }
    }
  }

  async #carryOut(step: Step, branch: Branch, pass: Pass): Promise<void> {
    switch (step.type) {
      case "remove":
        for (const { kind, id } of familiesOf([step.plan])) if (kind === "pool") this.#tree.pools.remove(id);
        if (isFamily(step.plan)) await this.#removeFamily(branch, step.plan);
        for (const { server } of this.#tree.membersOf(step.plan)) server.close("session");
        await branch.remove(step.plan.id);
        this.#tree.deletePlan(branch, step.plan);
        break;
      case "add":
        await this.#tree.add(branch, step.plan);
        break;
      case "change":
        await this.#change(branch, step.plan, step.change);
        break;
      case "revise":
        branch.revise(step.plan);
        if (step.plan.kind === "template") this.#tree.templates.revise(step.plan);
        if (step.plan.kind === "pool") this.#tree.pools.revise(step.plan);
        break;
      case "descend": {
        const below = branch.below(step.plan.id);
        if (below === undefined) break;
        await this.#reconcileBranch(below, step.before.children, step.plan.children, pass);
        break;
      }
    }
  }

  /** Removes a family together with its sessions. */
  async #removeFamily(branch: Branch, family: FamilyPlan): Promise<void> {
    if (family.kind === "template") this.#tree.templates.remove(family.id);
    for (const plan of branch.plans) {
      if (!belongsTo(plan, family)) continue;
      for (const { server } of this.#tree.membersOf(plan)) await this.#tree.terminate(server);
    }
  }

  async #change(branch: Branch, plan: SessionPlan, change: SessionChange): Promise<void> {
    const server = this.#sessions.ofChild(plan.id)?.server;
    if (server === undefined) return;
    this.#sessions.reconfigure(server, plan.settings);
    branch.revise(plan);
    if (change === "live" && server.state.name !== "quarantined") {
      await server.applyLive();
      return;
    }
    // The next process starts with the new options.
    if (change === "process" && server.state.name === "hibernated") return;
    await server.retire();
    if (change === "child") await branch.replace(plan);
    else await this.#tree.root.recycle(plan.id);
    const failure = await this.#tree.failure(server);
    if (failure !== undefined) throw failure;
  }
}
