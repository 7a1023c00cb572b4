import type { Clock } from "../../clock.ts";
import type { SessionServer } from "../../session/session-server.ts";
import type { ChildEvent, RecordedExit } from "../../supervision/child-spec.ts";
import { type ChildPlan, isFamily, type TreePlan } from "../options/child-options.ts";
import { type Logger, logWarning } from "../options/supervisor-options.ts";
import type { Branch } from "./branch.ts";
import { exitRecord, whoOf } from "./child-report.ts";
import type { ChildStarts } from "./child-starts.ts";
import type { Pools } from "./pools.ts";
import type { Member, SessionTable } from "./session-table.ts";
import type { SupervisorEnd } from "./supervisor-reports.ts";

/** The dependencies that the listeners of a tree share. */
export interface ListenerDeps {
  readonly clock: Clock;
  readonly sessions: SessionTable;
  readonly pools: Pools;
  readonly starts: ChildStarts;
  readonly logger: Logger | undefined;
  /** Returns the sessions of a child and of everything below it. */
  membersOf(plan: ChildPlan): readonly Member[];
  /** Deletes the plans of an ended child and of everything below it, and releases their names. */
  deletePlan(branch: Branch, plan: ChildPlan): void;
  /** Called when a supervisor of the tree ends by itself. */
  onEnd(branch: Branch, end: SupervisorEnd): void;
}

/** Passes on a child's supervision events: to its sessions, to the log and to callers that wait for the child. */
export class ChildListener {
  readonly #plan: TreePlan;
  readonly #branch: Branch;
  /** The child's session, if the child is one. Another session may have its name later. */
  readonly #server: SessionServer | undefined;
  readonly #deps: ListenerDeps;

  constructor(plan: TreePlan, branch: Branch, server: SessionServer | undefined, deps: ListenerDeps) {
    this.#plan = plan;
    this.#branch = branch;
    this.#server = server;
    this.#deps = deps;
  }

  /** Handles an event of the child. */
  handle(event: ChildEvent): void {
    const { clock, logger, pools, starts } = this.#deps;
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
        this.#stopped(event, event.exit.reason !== "abnormal");
        break;
      case "terminated":
        this.#stopped(event, false);
        break;
      case "auto_shutdown":
        this.#deps.onEnd(this.#branch, { reason: "auto_shutdown", cause: event.exit.cause });
        break;
      case "escalated":
        this.#deps.onEnd(this.#branch, { reason: "max_restarts", cause: event.exit.cause });
        break;
      default:
    }
    if (this.#plan.kind === "session" && this.#plan.pool !== undefined) pools.memberChanged(this.#plan.pool);
    starts.check();
  }

  /** Closes the sessions of a stopped child that nothing will restart: their turns must not wait for a restart. */
  #stopped(event: ChildEvent, asIntended: boolean): void {
    const plan = this.#current;
    if (plan === undefined || isFamily(plan)) return;
    const restart = plan.kind === "session" ? plan.settings.restart : plan.supervision.restart;
    // The supervisor keeps a temporary child while a call restarts it.
    const isDeleted = restart === "temporary" && this.#branch.hasDeleted(plan.id);
    const staysTerminated = restart === "transient" && asIntended;
    if (!isDeleted && !staysTerminated) return;
    for (const server of this.#servers(plan)) server.close(isDeleted ? "session" : "child");
    if (!isDeleted) return;
    if (event.type === "start_failed")
      this.#deps.starts.temporaryStartFailed(plan.id, whoOf(plan, []), event.exit.cause);
    this.#deps.deletePlan(this.#branch, plan);
  }

  #quarantined(lastExits: readonly RecordedExit[]): void {
    const exits = lastExits.map(({ exit, at }) => exitRecord(exit.cause, at));
    const plan = this.#current;
    for (const server of plan === undefined ? [] : this.#servers(plan)) server.quarantine(exits);
    const message =
      (this.#holdsName ? this.#server?.refusal()?.message : undefined) ??
      `${this.#who} is quarantined: ${exits.at(-1)?.message ?? "unknown"}.`;
    logWarning(this.#deps.logger, "SESSION_QUARANTINED", message);
  }

  /** The current plan of the child, which a reconciliation may have changed; undefined once the child is removed. */
  get #current(): ChildPlan | undefined {
    const isRemoved = this.#plan.kind === "session" && !this.#holdsName;
    return isRemoved ? undefined : this.#branch.plan(this.#plan.id);
  }

  get #holdsName(): boolean {
    return this.#server !== undefined && this.#deps.sessions.holds(this.#server);
  }

  #servers(plan: ChildPlan): SessionServer[] {
    if (this.#server !== undefined) return [this.#server];
    return this.#deps.membersOf(plan).map(({ server }) => server);
  }

  get #who(): string {
    return this.#plan.kind === "session" ? `session ${this.#plan.id}` : `child "${this.#plan.id}"`;
  }
}
