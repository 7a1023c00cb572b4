import { Chance } from "../../cluster/simulated-chance.ts";

/** A prompt of a caller, who asks whichever process takes connections until it has the outcome. */
export interface PlannedTurn {
  readonly at: number;
  readonly key: string;
  readonly turn: string;
}

/** Which process: the one that runs longest, or shortest, or any. */
export type Whom = "oldest" | "newest" | "any";

export type PlannedEvent =
  /** The next process of the application starts. */
  | { readonly type: "deploy"; readonly at: number }
  | { readonly type: "kill"; readonly at: number; readonly whom: Whom }
  /** Kills the process at that operation, counted from the last deploy: a transmission, or a call of the file. */
  | { readonly type: "kill_at_step"; readonly at: number; readonly whom: Whom; readonly step: number }
  /** Kills the process that writes that batch, once the file has it: counted from then, of all but the oldest process. */
  | { readonly type: "kill_writer"; readonly at: number; readonly batch: number }
  /** Kills the next process that opens the file, that long afterwards. */
  | { readonly type: "kill_opener"; readonly at: number; readonly afterMs: number }
  | {
      readonly type: "freeze";
      readonly at: number;
      readonly whom: Whom;
      readonly forMs: number;
      readonly as: "stopped" | "suspended";
    }
  | { readonly type: "set_clock"; readonly at: number; readonly whom: Whom; readonly byMs: number }
  | {
      readonly type: "slow";
      readonly at: number;
      readonly forMs: number;
      readonly slownessMs: number;
      readonly fails: number;
    };

export interface HandoverPlan {
  readonly seed: number;
  readonly keys: readonly string[];
  /** The longest time of a step of a turn, in milliseconds. */
  readonly stepMs: number;
  readonly deadlineMs: number;
  readonly turns: readonly PlannedTurn[];
  readonly events: readonly PlannedEvent[];
  readonly untilMs: number;
}

const WHOM: readonly Whom[] = ["oldest", "oldest", "newest", "newest", "any"];

/** Returns the plan of a seed. */
export function handoverPlanOf(seed: number): HandoverPlan {
  const chance = new Chance(`hand-over ${seed}`);
  const keys = Array.from({ length: 1 + chance.below(3) }, (_, at) => `"s${at}"`);
  const first = Array.from({ length: 1 + chance.below(2) }, () => chance.between(300, 5_000));
  // Some processes start together.
  const deploys = first.flatMap((at) => (chance.happens(0.4) ? [at, at + chance.between(0, 300)] : [at]));
  const untilMs = 6_000;
  const turns = Array.from({ length: 3 + chance.below(12) }, (_, number) => ({
    // Most of them about the time of a hand-over.
    at: chance.happens(0.7)
      ? Math.max(0, chance.pick(deploys) + chance.between(-400, 500))
      : chance.between(0, untilMs),
    key: chance.pick(keys),
    turn: `t${number}`,
  }));
  const kinds = (["kill", "kill_at_step", "kill_writer", "kill_opener", "freeze", "set_clock", "slow"] as const).filter(
    () => chance.happens(0.4),
  );
  const count = kinds.length === 0 ? 0 : 1 + chance.below(4);
  const faults = Array.from({ length: count }, () => faultOf(chance.pick(kinds), chance, deploys));
  const events = [...deploys.map((at) => ({ type: "deploy", at }) as const), ...faults];
  return {
    ...{ seed, keys, turns, untilMs },
    stepMs: chance.pick([20, 150, 600, 2_500]),
    deadlineMs: chance.pick([3_000, 8_000]),
    events: events.toSorted((one, other) => one.at - other.at),
  };
}

function faultOf(
  type: Exclude<PlannedEvent["type"], "deploy">,
  chance: Chance,
  deploys: readonly number[],
): PlannedEvent {
  const at = Math.max(0, chance.pick(deploys) + chance.between(-100, 700));
  const whom = chance.pick(WHOM);
  switch (type) {
    case "kill":
      return { type, at, whom };
    case "kill_at_step":
      return { type, at: Math.max(0, chance.pick(deploys)), whom, step: 1 + chance.below(80) };
    case "kill_writer":
      return { type, at, batch: 1 + chance.below(6) };
    case "kill_opener":
      return {
        type,
        at: Math.max(0, chance.pick(deploys)),
        afterMs: chance.pick([chance.between(0, 10), chance.between(0, 900)]),
      };
    case "freeze":
      return {
        ...{ type, at, whom, as: chance.pick(["stopped", "suspended"] as const) },
        forMs: chance.pick([chance.between(10, 1_000), chance.between(1_000, 8_000), chance.between(8_000, 25_000)]),
      };
    case "set_clock":
      return { type, at, whom, byMs: chance.between(-600_000, 600_000) };
    case "slow":
      return {
        ...{ type, at, forMs: chance.between(100, 3_000), slownessMs: chance.between(20, 400) },
        fails: chance.pick([0, 0.1]),
      };
  }
}
