import { Chance } from "./simulated-chance.ts";

/** A request for a turn, or a look for a turn of another caller. */
export interface PlannedAsk {
  readonly at: number;
  /** The machine of the caller: a node or a client. */
  readonly by: string;
  readonly key: string;
  /** The idempotency key. Requests with the same key are for the same turn. */
  readonly turn: string;
  /** Only looks for the turn. */
  readonly looks: boolean;
  readonly messages: boolean;
  readonly timeoutMs?: number;
  readonly abortAfterMs?: number;
  readonly interruptAfterMs?: number;
}

/** A fault, or an operation on the cluster. */
export type PlannedFault =
  | { readonly type: "kill"; readonly at: number; readonly node: string; readonly restartAfterMs: number }
  | {
      readonly type: "freeze";
      readonly at: number;
      readonly node: string;
      readonly as: "stopped" | "suspended";
      readonly forMs: number;
    }
  | { readonly type: "set_clock"; readonly at: number; readonly node: string; readonly byMs: number }
  | { readonly type: "set_engine_clock"; readonly at: number; readonly byMs: number }
  | { readonly type: "cut"; readonly at: number; readonly ways: readonly string[]; readonly forMs: number }
  /** `machine` cannot reach the engine; with `"all"` no machine can. */
  | { readonly type: "cut_engine"; readonly at: number; readonly machine: string; readonly forMs: number }
  | {
      readonly type: "drain";
      readonly at: number;
      readonly node: string;
      readonly deadlineMs: number;
      readonly restartAfterMs: number;
    }
  | { readonly type: "move"; readonly at: number; readonly by: string; readonly key: string }
  | { readonly type: "join"; readonly at: number; readonly node: string }
  /** The database fails over to a replica that lacks the last commits, and is away for a while. */
  | { readonly type: "failover"; readonly at: number; readonly lackMs: number; readonly forMs: number }
  | { readonly type: "storm"; readonly at: number; readonly forMs: number; readonly strength: number };

/** The durations of a cluster, see `NodeSettings`. */
export interface PlannedPace {
  readonly beatMs: number;
  readonly staleMs: number;
  readonly marginMs: number;
}

/** Everything that happens in one simulation. */
export interface Plan {
  readonly seed: number;
  readonly pace: PlannedPace;
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  readonly keys: readonly string[];
  readonly wanted: readonly string[];
  /** The longest time of a step of a turn, in milliseconds, and the probability of a crash in it. */
  readonly stepMs: number;
  readonly crashes: number;
  /** When the last fault may begin. */
  readonly untilMs: number;
  readonly asks: readonly PlannedAsk[];
  readonly faults: readonly PlannedFault[];
}

const PACES: readonly PlannedPace[] = [
  { beatMs: 1_000, staleMs: 5_000, marginMs: 1_500 },
  { beatMs: 400, staleMs: 2_000, marginMs: 600 },
];

const KINDS: readonly PlannedFault["type"][] = [
  "kill",
  "freeze",
  "set_clock",
  "set_engine_clock",
  "cut",
  "cut_engine",
  "drain",
  "move",
  "join",
  "storm",
  "failover",
];

/**
 * Returns the plan of a seed.
 *
 * @param only the kinds of its faults. Default: a few of all
 */
export function planOf(seed: number, only?: readonly PlannedFault["type"][]): Plan {
  const chance = new Chance(`plan ${seed}`);
  const nodes = ["n1", "n2", "n3"].slice(0, chance.happens(0.8) ? 3 : 2);
  const clients = ["c1", "c2"];
  const keys = Array.from({ length: 1 + chance.below(3) }, (_, at) => `["global","s${at}"]`);
  const untilMs = chance.between(3_000, 14_000);
  const asks = askedIn(chance.of("asks"), { machines: [...nodes, ...clients, ...clients], keys, untilMs });
  // Only a few kinds at a time: with all at once most plans would look alike.
  const some = KINDS.filter(() => chance.happens(0.35));
  const kinds = only ?? some;
  const count = kinds.length === 0 ? 0 : 1 + chance.below(8);
  const faults = Array.from({ length: count }, () =>
    faultOf(chance.pick(kinds), chance, { nodes, machines: [...nodes, ...clients], keys, untilMs }),
  );
  return {
    seed,
    pace: chance.pick(PACES),
    nodes,
    clients,
    keys,
    wanted: chance.happens(0.3) ? keys.slice(0, 1) : [],
    stepMs: chance.pick([20, 120, 400]),
    crashes: chance.happens(0.25) ? 0.05 : 0,
    untilMs,
    asks,
    faults: faults.toSorted((one, other) => one.at - other.at),
  };
}

interface Ground {
  readonly nodes: readonly string[];
  readonly machines: readonly string[];
  readonly keys: readonly string[];
  readonly untilMs: number;
}

function askedIn(chance: Chance, { machines, keys, untilMs }: Omit<Ground, "nodes">): PlannedAsk[] {
  const asks: PlannedAsk[] = [];
  const count = 3 + chance.below(14);
  for (let number = 0; number < count; number++) {
    const key = chance.pick(keys);
    const turn = `t${number}`;
    const at = chance.between(0, untilMs);
    const first = { at, by: chance.pick(machines), key, turn, looks: false, messages: chance.happens(0.6) };
    const end = chance.below(12);
    if (end === 0) asks.push({ ...first, timeoutMs: chance.between(50, 4_000) });
    else if (end === 1) asks.push({ ...first, abortAfterMs: chance.between(0, 2_000) });
    else if (end === 2) asks.push({ ...first, interruptAfterMs: chance.between(0, 2_000) });
    else asks.push(first);
    if (end < 3 || chance.happens(0.7)) continue;
    const looks = chance.happens(0.5);
    asks.push({ ...first, at: Math.min(untilMs, at + chance.between(0, 6_000)), by: chance.pick(machines), looks });
  }
  return asks.toSorted((one, other) => one.at - other.at);
}

function faultOf(type: PlannedFault["type"], chance: Chance, ground: Ground): PlannedFault {
  const { nodes, machines, keys, untilMs } = ground;
  const at = chance.between(200, untilMs);
  const node = chance.pick(nodes);
  const forMs = chance.pick([chance.between(50, 1_500), chance.between(1_000, 9_000)]);
  switch (type) {
    case "kill":
      return { type, at, node, restartAfterMs: chance.between(100, 8_000) };
    case "freeze":
      return { type, at, node, as: chance.pick(["stopped", "suspended"]), forMs };
    case "set_clock":
      return { type, at, node, byMs: chance.between(-20_000, 20_000) };
    case "set_engine_clock":
      return { type, at, byMs: chance.between(-4_000, 8_000) };
    case "cut": {
      const others = machines.filter((other) => other !== node);
      const far = chance.happens(0.5) ? others : [chance.pick(others)];
      const both = chance.happens(0.6);
      return {
        type,
        at,
        ways: far.flatMap((other) => [`${node}>${other}`, ...(both ? [`${other}>${node}`] : [])]),
        forMs,
      };
    }
    case "cut_engine":
      return { type, at, machine: chance.happens(0.3) ? "all" : chance.pick(machines), forMs };
    case "drain":
      return { type, at, node, deadlineMs: chance.between(0, 2_000), restartAfterMs: chance.between(100, 5_000) };
    case "move":
      return { type, at, by: chance.pick(machines), key: chance.pick(keys) };
    case "join":
      return { type, at, node: `n${4 + chance.below(2)}` };
    case "failover":
      return {
        type,
        at,
        lackMs: chance.between(1, Math.min(at, 2_000)),
        forMs: chance.pick([chance.between(5, 300), forMs]),
      };
    case "storm":
      return { type, at, forMs, strength: chance.between(0.02, 0.3) };
  }
}
