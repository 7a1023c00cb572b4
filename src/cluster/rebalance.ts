import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { nameOfKey, type SessionName } from "../names.ts";
import type { Caller } from "./caller.ts";
import type { NodeEntry } from "./protocol/engine.ts";
import { type PlannedMove, planMoves } from "./rebalance-plan.ts";
import { destinationOf } from "./router.ts";
import type { OwnedActivity, SessionActivity } from "./session-host.ts";

/** A session that `Cluster.rebalance` has moved. */
export interface MovedSession {
  readonly name: SessionName;
  /** The names of the nodes. */
  readonly from: string;
  readonly to: string;
  /** What the session did before: nothing without a process, nothing with one, or a turn, which had thirty seconds to finish. */
  readonly activity: SessionActivity;
}

/**
 * How long further moves are begun, in milliseconds. A move takes up to thirty seconds, and Node's `fetch`, by which clients of a
 * server ask, waits 300 seconds for an answer.
 */
const MOVING_MS = 240_000;

export interface RebalanceDeps {
  readonly clock: Pick<Clock, "monotonic">;
  readonly caller: Pick<Caller, "callAt">;
  /** Moves a session. Returns false if it is in mid-turn, unless it may be. */
  move(key: string, node: string, activity: SessionActivity): Promise<boolean>;
}

/** Moves up to `max` sessions, one after the other, as far as time allows. Skips those that cannot move now. */
export async function rebalance(
  nodes: readonly NodeEntry[],
  keys: ReadonlyMap<string, string>,
  max: number,
  { caller, move, clock }: RebalanceDeps,
): Promise<MovedSession[]> {
  const told = await Promise.all(
    nodes.map(async (node) => [node.boot, await activitiesOf(node, keys, caller)] as const),
  );
  const owned = new Map(
    told.flatMap(([boot, sessions]) => (sessions === undefined ? [] : [[boot, sessions] as const])),
  );
  const nameOf = (boot: string): string => nodes.find((node) => node.boot === boot)?.name ?? boot;
  const moved: MovedSession[] = [];
  const until = clock.monotonic() + MOVING_MS;
  for (const planned of planMoves(nodes, owned, max)) {
    if (clock.monotonic() >= until) break;
    const { key, activity } = planned;
    const [from, to] = [nameOf(planned.from), nameOf(planned.to)];
    if (await hasMoved(planned, to, move)) moved.push({ name: nameOfKey(key), from, to, activity });
  }
  return moved;
}

/** A session whose node went away meanwhile is claimed by another one, or will be. */
async function hasMoved({ key, activity }: PlannedMove, to: string, move: RebalanceDeps["move"]): Promise<boolean> {
  try {
    return await move(key, to, activity);
  } catch (error) {
    if (CastellanError.is(error, "CLUSTER_UNAVAILABLE") || CastellanError.is(error, "INVALID_OPTIONS")) return false;
    throw error;
  }
}

/** Asks a node what its sessions do. Undefined if it does not answer, or is of an earlier release. */
async function activitiesOf(
  node: NodeEntry,
  keys: ReadonlyMap<string, string>,
  caller: RebalanceDeps["caller"],
): Promise<readonly OwnedActivity[] | undefined> {
  if (!node.alive || node.draining) return undefined;
  const key = keys.get(node.boot);
  // It owns nothing.
  if (key === undefined) return [];
  try {
    return (await caller.callAt(destinationOf(node), key, "activities")) as readonly OwnedActivity[];
  } catch {
    return undefined;
  }
}
