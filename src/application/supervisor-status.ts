import type { Clock } from "../clock.ts";
import { withoutUndefined } from "../fields.ts";
import type { SharedResources } from "../session/context/shared-resources.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { type UsageOptions, type UsageReport, usageQuery, usageReports } from "../session/persistence/usage.ts";
import { type BudgetReport, budgetReports } from "./inspection/budgets.ts";
import { effectiveSupervisorOptions } from "./inspection/effective-options.ts";
import {
  type HealthChecks,
  healthOf,
  livenessOf,
  readinessOf,
  type SupervisorCondition,
  type SupervisorHealth,
} from "./inspection/health.ts";
import { inspect, type SupervisorInspection } from "./inspection/inspection.ts";
import { askStore, type StoreReport } from "./inspection/storage.ts";
import type { SupervisorSettings } from "./options/supervisor-options.ts";
import { childReports } from "./tree/child-report.ts";
import type { SessionTable } from "./tree/session-table.ts";
import type { SupervisorPhase } from "./tree/supervisor-phase.ts";
import type { CapacityStatus } from "./tree/supervisor-reports.ts";
import type { Tree } from "./tree/tree.ts";

/** The cluster that a supervisor must leave before it ends. */
export interface JoinedCluster {
  /** Why the node currently takes no turns of global sessions; undefined if it does. */
  readonly fault: string | undefined;
  /** What is wrong with the clock of the machine; undefined if nothing is known to be. */
  readonly clockFault: string | undefined;
  /** Releases what the node owns, after the running turns or at the deadline. Idempotent: a second call waits for the first. */
  leave(deadlineMs: number): Promise<void>;
}

/** The parts of a supervisor that have its status. */
export interface SupervisorParts {
  readonly name: string;
  readonly tree: Tree;
  readonly sessions: SessionTable;
  readonly journal: SupervisorJournal;
  readonly resources: SharedResources;
  readonly phase: SupervisorPhase;
  readonly cluster: JoinedCluster | undefined;
}

/** Reports the status of a supervisor and its children. `Supervisor` documents the methods. */
export class SupervisorStatus {
  readonly #parts: SupervisorParts;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  async health(): Promise<SupervisorHealth> {
    const reports = [...this.#parts.sessions].map(async ({ session }) => {
      const { name, state, pid } = session.status();
      return { name, state, active: pid !== undefined, health: await session.health() };
    });
    return healthOf(
      this.#condition,
      await Promise.all(reports),
      childReports(this.#parts.tree.root),
      this.#parts.tree.pools.statuses,
    );
  }

  livez(): HealthChecks {
    return livenessOf(this.#condition, childReports(this.#parts.tree.root));
  }

  readyz(): HealthChecks {
    return readinessOf(
      this.#condition,
      [...this.#parts.sessions].map(({ server }) => server.status()),
      childReports(this.#parts.tree.root),
    );
  }

  capacity(): CapacityStatus {
    const { capacity, spares, turns } = this.#parts.resources;
    return {
      processes: capacity.taken,
      waiting: capacity.waiting,
      ...withoutUndefined({ memoryBytes: capacity.memory }),
      turns: { running: turns.running, waiting: turns.waiting },
      limits: withoutUndefined({
        processes: capacity.limit,
        memoryBytes: capacity.budget,
        turns: turns.limits.total,
        turnsPerKey: turns.limits.perKey,
      }),
      spares: spares.status,
    };
  }

  inspect(settings: SupervisorSettings): SupervisorInspection {
    const state = this.#parts.phase.isStopping ? "terminated" : "running";
    const { location, fault, budget } = this.#parts.journal;
    return {
      ...inspect(this.#parts.tree.root, this.#parts.name, state, this.#parts.sessions, this.#parts.tree.pools),
      capacity: this.capacity(),
      journal: withoutUndefined({ location, fault: fault?.message }),
      ...withoutUndefined({ budget }),
      options: effectiveSupervisorOptions(settings),
    };
  }

  budgets(): BudgetReport[] {
    const { journal, tree, sessions } = this.#parts;
    return budgetReports(journal.budget, tree.root.sessions, sessions);
  }

  /** Asks the journal. @throws CastellanError `SUPERVISOR_STOPPED` */
  async store(clock: Clock): Promise<StoreReport> {
    this.#parts.phase.refuseIfStopped();
    const { journal: stored, fault, lastFault, damage } = this.#parts.journal;
    const { kind = "custom", location } = stored;
    // A custom journal is asked for a turn that it cannot have.
    const ask = async (): Promise<string | undefined> =>
      kind === "custom" ? void (await stored.turn("")) : await stored.version?.();
    const report = await askStore({ kind, location, ask }, clock);
    return { ...report, ...withoutUndefined({ fault: fault?.message ?? report.fault, lastFault, damage }) };
  }

  async usage(options: UsageOptions = {}): Promise<UsageReport[]> {
    this.#parts.phase.refuseIfStopped();
    const query = { ...usageQuery(options), supervisor: this.#parts.journal.supervisor };
    return usageReports(await this.#parts.journal.usageWritten(query));
  }

  get #condition(): SupervisorCondition {
    const { now: phase, end } = this.#parts.phase;
    const reason = end?.reason;
    const journal = this.#parts.journal.fault?.message;
    const journalDamage = this.#parts.journal.damage;
    const { fault: cluster, clockFault: clock } = this.#parts.cluster ?? {};
    return {
      phase,
      ...(reason === undefined || reason === "stopped" ? {} : { end: reason }),
      ...withoutUndefined({ journal, journalDamage, cluster, clock }),
    };
  }
}
