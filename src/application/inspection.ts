import type { ExitRecord } from "../errors.ts";
import type { PoolStatus } from "../pool/pool-status.ts";
import type { SessionStatus } from "../session/session-status.ts";
import type { ChildInfo } from "../supervision/child-info.ts";
import type { Strategy } from "../supervision/supervisor-spec.ts";
import type { Branch } from "./branch.ts";
import type { Pools } from "./pools.ts";
import type { Roster } from "./roster.ts";

/** A tree and what is in it at a moment, in the order in which it is started. */
export interface Inspection {
  readonly kind: "supervisor";
  readonly name: string;
  readonly state: ChildInfo["state"];
  readonly strategy: Strategy;
  readonly children: readonly ChildInspection[];
}

/** A child as {@link Inspection} shows it; `restarts` counts those of the current series of crashes. */
export type ChildInspection =
  | Inspection
  | {
      readonly kind: "session";
      readonly status: SessionStatus;
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
      /** What the last ten exits that were not asked for had as their cause, oldest first. */
      readonly lastExits: readonly { readonly at: number; readonly cause: unknown }[];
    };

/** The tree below `branch`, without asking anybody. */
export function inspect(
  branch: Branch,
  name: string,
  state: ChildInfo["state"],
  roster: Roster,
  pools: Pools,
): Inspection {
  const children = branch.plans.flatMap((plan): ChildInspection[] => {
    const info = branch.tree?.child(plan.id);
    const childState = info?.state ?? "terminated";
    const exits = info?.lastExits ?? [];
    switch (plan.kind) {
      case "session": {
        const member = roster.ofChild(plan.id);
        if (member === undefined) return [];
        return [
          {
            kind: "session",
            status: member.server.status(),
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
        const lastExits = exits.map(({ exit, at }) => ({ at, cause: exit.cause }));
        return [{ kind: "worker", name: plan.id, state: childState, restarts: info?.restarts ?? 0, lastExits }];
      }
      default: {
        const below = branch.below(plan.id);
        return below === undefined ? [] : [inspect(below, plan.id, childState, roster, pools)];
      }
    }
  });
  return { kind: "supervisor", name, state, strategy: branch.settings.strategy ?? "one_for_one", children };
}

/** The record that travels as the cause of every exit of a session; one is made of any other cause, seen at `at`. */
export function exitRecord(cause: unknown, at: number): ExitRecord {
  if (typeof cause === "object" && cause !== null && "class" in cause && "message" in cause) return cause as ExitRecord;
  return { class: "crash", message: cause instanceof Error ? cause.message : String(cause), at };
}
