import type { ExitRecord } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import type { BudgetStatus } from "../../session/options/budget.ts";
import type { SessionServer } from "../../session/session-server.ts";
import type { SessionStatus } from "../../session/status/session-status.ts";
import { type ChildInfo, reasonOf } from "../../supervision/child-spec.ts";
import type { Strategy } from "../../supervision/supervisor-spec.ts";
import type { SessionPlan } from "../options/child-options.ts";
import type { Branch } from "../tree/branch.ts";
import { exitRecord } from "../tree/child-report.ts";
import type { Pools } from "../tree/pools.ts";
import type { SessionTable } from "../tree/session-table.ts";
import type { CapacityStatus } from "../tree/supervisor-reports.ts";
import { type EffectiveOptions, effectiveOptions } from "./effective-options.ts";

/** A whole tree, with what all that is in it shares. */
export interface SupervisorInspection extends Inspection {
  readonly capacity: CapacityStatus;
  /** Where the journal is, and why it cannot be written, if that is so. */
  readonly journal: { readonly place?: string; readonly fault?: string };
  /** How much of its budget has been spent, if it has one. */
  readonly budget?: BudgetStatus;
  /** Its own options besides `defaults`, which are shown with the sessions. */
  readonly options: EffectiveOptions;
}

/** A tree and what is in it at a moment, in the order in which it is started. */
export interface Inspection {
  readonly kind: "supervisor";
  readonly name: string;
  readonly state: ChildInfo["state"];
  readonly strategy: Strategy;
  readonly children: readonly ChildInspection[];
  /** Of one below another one: how often it was restarted, and its ends that were not asked for. */
  readonly restarts?: number;
  readonly lastExits?: readonly ChildEnd[];
}

/** An end of a worker or a supervisor that was not asked for, or a start of it that failed; the last ten are kept, oldest first. */
export interface ChildEnd {
  /** In milliseconds since the epoch. */
  readonly at: number;
  /** The cause in words. */
  readonly message: string;
  /** What the child gave as the reason, or what its start threw. */
  readonly cause: unknown;
}

/** A child as {@link Inspection} shows it; `restarts` counts those of the current series of crashes. */
export type ChildInspection =
  | Inspection
  | {
      readonly kind: "session";
      readonly status: SessionStatus;
      /** How much of its budget it has spent, if it has one. */
      readonly budget?: BudgetStatus;
      /** The options by which it runs, each with where it came from. */
      readonly options: EffectiveOptions;
      /** The last ten exits that were not asked for, oldest first. */
      readonly lastExits: readonly ExitRecord[];
    }
  | {
      readonly kind: "template";
      readonly name: string;
      /** How many of its sessions are in memory; they stand beside it. */
      readonly sessions: number;
    }
  | {
      readonly kind: "pool";
      /** Its members stand beside it. */
      readonly status: PoolStatus;
    }
  | {
      readonly kind: "worker";
      readonly name: string;
      readonly state: ChildInfo["state"];
      readonly restarts: number;
      readonly lastExits: readonly ChildEnd[];
    };

/** The tree below `branch`, without asking anybody. */
export function inspect(
  branch: Branch,
  name: string,
  state: ChildInfo["state"],
  sessions: SessionTable,
  pools: Pools,
): Inspection {
  const children = branch.plans.flatMap((plan): ChildInspection[] => {
    const info = branch.tree?.child(plan.id);
    const childState = info?.state ?? "terminated";
    const exits = info?.lastExits ?? [];
    switch (plan.kind) {
      case "session": {
        const member = sessions.ofChild(plan.id);
        if (member === undefined) return [];
        return [
          {
            kind: "session",
            status: member.server.status(),
            ...withoutUndefined({ budget: member.server.budget }),
            options: optionsOf(member.server, plan),
            lastExits: exits.map(({ exit, at }) => exitRecord(exit.cause, at)),
          },
        ];
      }
      case "template": {
        const sessions = branch.plans.filter((other) => other.kind === "session" && other.template === plan.id);
        return [{ kind: "template", name: plan.id, sessions: sessions.length }];
      }
      case "pool": {
        const status = pools.find(plan.id)?.status();
        return status === undefined ? [] : [{ kind: "pool", status }];
      }
      case "worker": {
        return [{ kind: "worker", name: plan.id, state: childState, ...endsOf(info) }];
      }
      default: {
        const below = branch.below(plan.id);
        if (below === undefined) return [];
        return [{ ...inspect(below, plan.id, childState, sessions, pools), ...endsOf(info) }];
      }
    }
  });
  return { kind: "supervisor", name, state, strategy: branch.settings.strategy ?? "one_for_one", children };
}

function endsOf(info: ChildInfo | undefined): { restarts: number; lastExits: ChildEnd[] } {
  const lastExits = (info?.lastExits ?? []).map(({ exit: { cause }, at }) => ({ at, message: reasonOf(cause), cause }));
  return { restarts: info?.restarts ?? 0, lastExits };
}

function optionsOf(server: SessionServer, { settings, layers }: SessionPlan): EffectiveOptions {
  return effectiveOptions(settings, layers, server.settings, server.grantedMode, server.launch.environment);
}
