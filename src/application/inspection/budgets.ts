import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { BudgetStatus } from "../../session/options/budget.ts";
import type { SessionPlan } from "../options/child-options.ts";
import type { SessionTable } from "../tree/session-table.ts";

/** A budget, its owner, and how much of it is spent. */
export interface BudgetReport extends BudgetStatus {
  /** The session that has the budget. Left out for the budget of the supervisor, and of its cluster's global sessions. */
  readonly session?: SessionName;
  /** Whether all global sessions of the cluster share the budget: `cluster.budget`. */
  readonly global?: true;
  /** The template or the pool that the session belongs to. */
  readonly template?: string;
  readonly pool?: string;
}

/** Returns the supervisor's budget, and those of its sessions in memory, the most used first. */
export function budgetReports(
  own: BudgetStatus | undefined,
  plans: readonly SessionPlan[],
  sessions: SessionTable,
): BudgetReport[] {
  const reports = plans.flatMap(({ id, template, pool }): BudgetReport[] => {
    const server = sessions.ofChild(id)?.server;
    const budget = server?.budget;
    if (server === undefined || budget === undefined) return [];
    return [{ session: server.settings.name, ...withoutUndefined({ template, pool }), ...budget }];
  });
  const sorted = reports.toSorted((one, other) => usedOf(other) - usedOf(one));
  return own === undefined ? sorted : [own, ...sorted];
}

function usedOf({ spentUsd, limitUsd }: BudgetStatus): number {
  return limitUsd === 0 ? Number.POSITIVE_INFINITY : spentUsd / limitUsd;
}
