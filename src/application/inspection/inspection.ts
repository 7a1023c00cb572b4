import type { ExitRecord } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { nameKey, type SessionName } from "../../names.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import type { BudgetStatus } from "../../session/options/budget.ts";
import type { SessionServer } from "../../session/session-server.ts";
import type { SessionStatus } from "../../session/status/session-status.ts";
import { type ChildInfo, reasonOf } from "../../supervision/child-spec.ts";
import { type Strategy, supervisorSettings } from "../../supervision/supervisor-spec.ts";
import type { SessionPlan } from "../options/child-options.ts";
import type { Branch } from "../tree/branch.ts";
import { exitRecord } from "../tree/child-report.ts";
import type { Pools } from "../tree/pools.ts";
import type { SessionTable } from "../tree/session-table.ts";
import type { CapacityStatus } from "../tree/supervisor-reports.ts";
import { type EffectiveOptions, effectiveOptions } from "./effective-options.ts";

/** A whole tree, with the resources that it shares. */
export interface SupervisorInspection extends Inspection {
  readonly capacity: CapacityStatus;
  /** The location of the journal, and why it cannot be written; `fault` is absent if it can. */
  readonly journal: { readonly location?: string; readonly fault?: string };
  /** The spending against its budget, if it has one. */
  readonly budget?: BudgetStatus;
  /** Its own options. The sessions' options include its `defaults`. */
  readonly options: EffectiveOptions;
}

/** A supervisor and its children at one moment, in start order. */
export interface Inspection {
  readonly kind: "supervisor";
  readonly name: string;
  readonly state: ChildInfo["state"];
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  readonly children: readonly ChildInspection[];
  /** Of a nested supervisor: its restarts, its last unexpected exits, and when its next restart is due. */
  readonly restarts?: number;
  readonly lastExits?: readonly ChildEnd[];
  readonly retryAt?: number;
}

/** The restarts that a supervisor allows, as its options say. */
export interface RestartIntensity {
  readonly maxRestarts: number;
  readonly maxSeconds: number;
  /** What happens on more. */
  readonly onMaxRestarts: "quarantine" | "escalate";
}

/** An unexpected exit or a failed start of a worker or a supervisor. The last ten are kept, oldest first. */
export interface ChildEnd {
  /** In milliseconds since the epoch. */
  readonly at: number;
  /** The cause, in words. */
  readonly message: string;
  /** The exit reason of the child, or the error of its start. */
  readonly cause: unknown;
}

/** A session in memory at one moment. */
export interface SessionInspection {
  readonly kind: "session";
  readonly status: SessionStatus;
  /** Its spending against its budget, if it has one. */
  readonly budget?: BudgetStatus;
  /** Its effective options, with their origins. */
  readonly options: EffectiveOptions;
  /** The restarts in the current series of crashes. */
  readonly restarts: number;
  /** The last ten unexpected exits, oldest first. */
  readonly lastExits: readonly ExitRecord[];
}

/** A child as {@link Inspection} shows it; `restarts` counts the current series of crashes. */
export type ChildInspection =
  | Inspection
  | SessionInspection
  | {
      readonly kind: "template";
      readonly name: string;
      /** The number of its sessions in memory; the sessions themselves are its siblings. */
      readonly sessions: number;
    }
  | {
      readonly kind: "pool";
      /** Its members are its siblings. */
      readonly status: PoolStatus;
    }
  | {
      readonly kind: "worker";
      readonly name: string;
      readonly state: ChildInfo["state"];
      readonly restarts: number;
      readonly lastExits: readonly ChildEnd[];
      /** When the next restart is due, in milliseconds since the epoch, during back-off. */
      readonly retryAt?: number;
    };

/** Returns the tree below `branch`, without I/O. */
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
    switch (plan.kind) {
      case "session": {
        const member = sessions.ofChild(plan.id);
        return member === undefined ? [] : [sessionInspection(member.server, plan, info)];
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
  const { strategy, intensity, onMaxRestarts } = supervisorSettings(branch.settings);
  return { kind: "supervisor", name, state, strategy, intensity: { ...intensity, onMaxRestarts }, children };
}

/** Returns a session at any depth of the tree, without I/O; undefined if it is not in memory. */
export function inspectSession(root: Branch, sessions: SessionTable, name: SessionName): SessionInspection | undefined {
  const key = nameKey(name);
  const branch = root.branchOf(key);
  const plan = branch?.plan(key);
  const member = sessions.ofChild(key);
  if (plan?.kind !== "session" || member === undefined) return undefined;
  return sessionInspection(member.server, plan, branch?.tree?.child(key));
}

function sessionInspection(server: SessionServer, plan: SessionPlan, info: ChildInfo | undefined): SessionInspection {
  return {
    kind: "session",
    status: server.status(),
    ...withoutUndefined({ budget: server.budget }),
    options: optionsOf(server, plan),
    restarts: info?.restarts ?? 0,
    lastExits: (info?.lastExits ?? []).map(({ exit, at }) => exitRecord(exit.cause, at)),
  };
}

function endsOf(info: ChildInfo | undefined): { restarts: number; lastExits: ChildEnd[]; retryAt?: number } {
  const lastExits = (info?.lastExits ?? []).map(({ exit: { cause }, at }) => ({ at, message: reasonOf(cause), cause }));
  return { restarts: info?.restarts ?? 0, lastExits, ...withoutUndefined({ retryAt: info?.retryAt }) };
}

function optionsOf(server: SessionServer, { settings, layers }: SessionPlan): EffectiveOptions {
  return effectiveOptions(settings, layers, server.settings, server.granted.mode?.now, server.launch.environment);
}
