import type { Clock } from "../../clock.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionServer } from "../../session/session-server.ts";
import type { Child, ChildEvent, ChildExit, ChildSpec, Restart, Shutdown } from "../../supervision/child-spec.ts";
import { ChildSupervisor } from "../../supervision/supervisor.ts";
import type { SupervisorSpec } from "../../supervision/supervisor-spec.ts";
import {
  type ChildPlan,
  type FamilyPlan,
  isFamily,
  type SessionPlan,
  type SubtreePlan,
  sessionsOf,
  type TreePlan,
} from "../options/child-options.ts";
import type { SessionTable } from "./session-table.ts";

/** Receives the events of a child. */
export interface BranchListener {
  handle(event: ChildEvent): void;
}

export interface BranchDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly sessions: SessionTable;
  /** Makes the listener of a child. `server` is the child's session, if the child is one. */
  listener(plan: TreePlan, branch: Branch, server: SessionServer | undefined): BranchListener;
}

/**
 * A supervisor of the tree and the plans of its children. The plans outlive the supervisor, so that its own supervisor can
 * restart it.
 */
export class Branch {
  readonly settings: SupervisorSpec;
  readonly #deps: BranchDeps;
  readonly #plans = new Map<string, ChildPlan>();
  readonly #branches = new Map<string, Branch>();
  readonly #replacing = new Set<string>();
  #tree: ChildSupervisor | undefined;
  #opening: Promise<unknown> = Promise.resolve();

  constructor(settings: SupervisorSpec, plans: readonly ChildPlan[], deps: BranchDeps) {
    this.settings = settings;
    this.#deps = deps;
    for (const plan of plans) this.#plan(plan);
  }

  /** The supervisor, while there is one. */
  get tree(): ChildSupervisor | undefined {
    return this.#tree;
  }

  /** The current plans. Calls may have changed a supervisor's children since its plan was made. */
  get plans(): readonly ChildPlan[] {
    return [...this.#plans.values()].map((plan) => this.#current(plan));
  }

  /** Returns the current plan of one child, in constant time. */
  plan(id: string): ChildPlan | undefined {
    const plan = this.#plans.get(id);
    return plan === undefined ? undefined : this.#current(plan);
  }

  #current(plan: ChildPlan): ChildPlan {
    const below = plan.kind === "supervisor" ? this.#branches.get(plan.id) : undefined;
    return plan.kind === "supervisor" && below !== undefined ? { ...plan, children: below.plans } : plan;
  }

  /** Returns the branch of a supervisor directly below. */
  below(id: string): Branch | undefined {
    return this.#branches.get(id);
  }

  /** The sessions of this branch and of all branches below. */
  get sessions(): readonly SessionPlan[] {
    return sessionsOf(this.plans);
  }

  /** The templates and pools of this branch and of all branches below, each with its branch. */
  get families(): readonly { readonly plan: FamilyPlan; readonly branch: Branch }[] {
    const own = this.plans.flatMap((plan) => (isFamily(plan) ? [{ plan, branch: this as Branch }] : []));
    return [...own, ...[...this.#branches.values()].flatMap((below) => below.families)];
  }

  /** Returns the branch that contains a session, here or below. */
  branchOf(key: string): Branch | undefined {
    if (this.#plans.get(key)?.kind === "session") return this;
    for (const branch of this.#branches.values()) {
      const found = branch.branchOf(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async start(signal?: AbortSignal): Promise<ChildSupervisor> {
    const { clock, random } = this.#deps;
    const specs = this.plans.flatMap((plan) => (isFamily(plan) ? [] : [this.#spec(plan)]));
    const deps = withoutUndefined({ clock, random, signal });
    const opening = ChildSupervisor.start(specs, this.settings, deps).then((tree) => {
      this.#tree = tree;
      return tree;
    });
    this.#opening = opening;
    return await opening;
  }

  /** Resolves once no start of the supervisor is pending. */
  async opened(): Promise<void> {
    await this.#opening.catch(() => {});
  }

  /** Adds a child and starts it. On failure, an existing child with the same id stays as it was. */
  async add(plan: ChildPlan): Promise<void> {
    const { id } = plan;
    const [before, below] = [this.#plans.get(id), this.#branches.get(id)];
    this.#plan(plan);
    if (isFamily(plan)) return;
    try {
      await this.#tree?.startChild(this.#spec(plan));
    } catch (error) {
      this.deletePlan(id);
      if (before !== undefined) this.#plans.set(id, before);
      if (below !== undefined) this.#branches.set(id, below);
      throw error;
    }
  }

  /**
   * Restarts a session here or below. If a supervisor above the session has ended, restarts that supervisor with all its
   * children.
   */
  async recycle(key: string): Promise<void> {
    if (this.#plans.get(key)?.kind === "session") {
      await this.#tree?.recycleChild(key);
      return;
    }
    for (const [id, below] of this.#branches) {
      if (below.branchOf(key) === undefined) continue;
      await below.opened();
      if (this.#tree?.child(id)?.state === "running") await below.recycle(key);
      else await this.#tree?.recycleChild(id);
      return;
    }
  }

  /** Replaces the plan of a session or a family. It takes effect when the supervisor next starts. */
  revise(plan: SessionPlan | FamilyPlan): void {
    if (this.#plans.has(plan.id)) this.#plans.set(plan.id, plan);
  }

  /** Stops a session in the tree and starts it again with a new plan. It moves to the end of the start order. */
  async replace(plan: SessionPlan): Promise<void> {
    const { id } = plan;
    this.#replacing.add(id);
    try {
      await this.#tree?.terminateChild(id);
      if (this.#tree?.child(id) !== undefined) await this.#tree.deleteChild(id);
      await this.#tree?.startChild(this.#spec(plan));
    } finally {
      this.#replacing.delete(id);
    }
  }

  /** Whether the supervisor has deleted a child for good, rather than for a replacement. */
  hasDeleted(id: string): boolean {
    return this.#tree?.child(id) === undefined && !this.#replacing.has(id);
  }

  async remove(id: string): Promise<void> {
    if (this.#tree?.child(id) !== undefined) await this.#tree.terminateChild(id);
    this.deletePlan(id);
    if (this.#tree?.child(id) !== undefined) await this.#tree.deleteChild(id);
  }

  deletePlan(id: string): void {
    this.#plans.delete(id);
    this.#branches.delete(id);
  }

  #plan(plan: ChildPlan): void {
    this.#plans.set(plan.id, plan);
    if (plan.kind === "supervisor") this.#branches.set(plan.id, new Branch(plan.tree, plan.children, this.#deps));
  }

  #spec(plan: TreePlan): ChildSpec {
    const { id } = plan;
    const server = plan.kind === "session" ? this.#deps.sessions.ofChild(id)?.server : undefined;
    const listener = this.#deps.listener(plan, this, server);
    const onEvent = (event: ChildEvent): void => listener.handle(event);
    switch (plan.kind) {
      case "session":
        return new SessionChild(plan, server, listener, this.#deps.sessions);
      case "worker":
        return { id, ...plan.supervision, start: plan.start, onEvent };
      case "supervisor":
        return { ...this.#subtreeSpec(plan), onEvent };
    }
  }

  #subtreeSpec({ id, supervision }: SubtreePlan): ChildSpec {
    const start: ChildSpec["start"] = async ({ signal }) => {
      const branch = this.#branches.get(id);
      if (branch === undefined) throw new Error(`the supervisor ${JSON.stringify(id)} has been removed`);
      return await branch.start(signal);
    };
    return { id, type: "supervisor", ...supervision, start };
  }
}

/** The spec of a session as a child: its start begins a life of the session. */
class SessionChild implements ChildSpec {
  readonly id: string;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly significant: boolean;
  readonly #server: SessionServer | undefined;
  readonly #listener: BranchListener;
  readonly #sessions: SessionTable;

  constructor(
    { id, settings }: SessionPlan,
    server: SessionServer | undefined,
    listener: BranchListener,
    sessions: SessionTable,
  ) {
    this.id = id;
    this.restart = settings.restart;
    this.shutdown = settings.shutdown;
    this.significant = settings.significant;
    this.#server = server;
    this.#listener = listener;
    this.#sessions = sessions;
  }

  start(): Child {
    const server = this.#server;
    const isCurrent = server !== undefined && this.#sessions.holds(server) && !server.hasEnded;
    return isCurrent ? server.begin() : placeholder();
  }

  onEvent(event: ChildEvent): void {
    this.#listener.handle(event);
  }
}

/** Returns a placeholder for a session that was terminated before the tree started it. The tree deletes it. */
function placeholder(): Child {
  const { promise, resolve } = Promise.withResolvers<ChildExit>();
  return { exited: promise, stop: async () => resolve({ reason: "shutdown" }) };
}
