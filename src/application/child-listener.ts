import type { Clock } from "../clock.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { ChildEvent, RecordedExit } from "../supervision/child-spec.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Branch } from "./branch.ts";
import { type ChildPlan, isFamily, type TreePlan } from "./child-options.ts";
import { whoOf } from "./child-standing.ts";
import { exitRecord } from "./inspection.ts";
import type { Pools } from "./pools.ts";
import type { Member, Roster } from "./roster.ts";
import type { Logger } from "./supervisor-options.ts";
import type { SupervisorEnd } from "./supervisor-reports.ts";

/** What the listeners of a tree share. */
export interface ListenerDeps {
  readonly clock: Clock;
  readonly roster: Roster;
  readonly pools: Pools;
  readonly arrivals: Arrivals;
  readonly logger: Logger | undefined;
  /** The sessions of a child, and of all below it. */
  membersOf(plan: ChildPlan): readonly Member[];
  /** Forgets a child that has ended, with all below it. */
  forget(branch: Branch, plan: ChildPlan): void;
  /** Supervision ends a supervisor of the tree. */
  ends(branch: Branch, end: SupervisorEnd): void;
}

/** Keeps one child's sessions in step with what supervision does with it, and the log. */
export class ChildListener {
  readonly #plan: TreePlan;
  readonly #branch: Branch;
  /** The session, if the child is one. Its name may be another session's one day. */
  readonly #server: SessionServer | undefined;
  readonly #deps: ListenerDeps;

  constructor(plan: TreePlan, branch: Branch, server: SessionServer | undefined, deps: ListenerDeps) {
    this.#plan = plan;
    this.#branch = branch;
    this.#server = server;
    this.#deps = deps;
  }

  /** Takes an event of the child. */
  take(event: ChildEvent): void {
    const { clock, logger, pools, arrivals } = this.#deps;
    switch (event.type) {
      case "restarting":
        if (event.delay > 0 && this.#holdsName) this.#server?.retryAt(clock.now() + event.delay);
        logger?.info(
          `${this.#who} is restarted in ${Math.round(event.delay)} ms (restart ${event.attempt} of this series)`,
        );
        break;
      case "quarantined":
        this.#quarantined(event.lastExits);
        break;
      case "exited":
      case "start_failed":
        this.#ceased(event, event.exit.reason !== "abnormal");
        break;
      case "terminated":
        this.#ceased(event, false);
        break;
      case "auto_shutdown":
        this.#deps.ends(this.#branch, { reason: "auto_shutdown", cause: event.exit.cause });
        break;
      case "escalated":
        this.#deps.ends(this.#branch, { reason: "max_restarts", cause: event.exit.cause });
        break;
      default:
    }
    if (this.#plan.kind === "session" && this.#plan.pool !== undefined) pools.seen(this.#plan.pool);
    arrivals.seen();
  }

  /** A child no longer runs. Where nothing starts it again, its sessions must not let turns wait for that. */
  #ceased(event: ChildEvent, asMeant: boolean): void {
    const plan = this.#current;
    if (plan === undefined || isFamily(plan)) return;
    const restart = plan.kind === "session" ? plan.settings.restart : plan.keeping.restart;
    // The tree has forgotten it, unless it is to be started again by hand.
    const forgotten = restart === "temporary" && this.#branch.lacks(plan.id);
    const rests = restart === "transient" && asMeant;
    if (!forgotten && !rests) return;
    for (const server of this.#servers(plan)) server.close(forgotten ? "session" : "child");
    if (!forgotten) return;
    if (event.type === "start_failed") this.#deps.arrivals.forgotten(plan.id, whoOf(plan, []), event.exit.cause);
    this.#deps.forget(this.#branch, plan);
  }

  #quarantined(lastExits: readonly RecordedExit[]): void {
    const exits = lastExits.map(({ exit, at }) => exitRecord(exit.cause, at));
    const plan = this.#current;
    for (const server of plan === undefined ? [] : this.#servers(plan)) server.quarantine(exits);
    const message =
      (this.#holdsName ? this.#server?.refusal()?.message : undefined) ??
      `${this.#who} has been set aside: ${exits.at(-1)?.message ?? "unknown"}.`;
    const { logger } = this.#deps;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "SESSION_QUARANTINED" });
    else logger.warn(message);
  }

  /** The plan of the child as it is by now; nothing once it has been removed. */
  get #current(): ChildPlan | undefined {
    const isRemoved = this.#plan.kind === "session" && !this.#holdsName;
    return isRemoved ? undefined : this.#branch.plan(this.#plan.id);
  }

  get #holdsName(): boolean {
    return this.#server !== undefined && this.#deps.roster.holds(this.#server);
  }

  #servers(plan: ChildPlan): SessionServer[] {
    if (this.#server !== undefined) return [this.#server];
    return this.#deps.membersOf(plan).map(({ server }) => server);
  }

  get #who(): string {
    return this.#plan.kind === "session" ? `session ${this.#plan.id}` : `child "${this.#plan.id}"`;
  }
}
