import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/clock.ts";
import type { TurnFrame, TurnRequest } from "../../src/cluster/protocol/frames.ts";
import type { Transport } from "../../src/cluster/protocol/transport.ts";
import type { SimulatedMachine } from "../cluster/simulated-machine.ts";
import type { Mutation } from "../cluster/simulation.ts";
import { type PlannedFault, planOf } from "../cluster/simulation-plan.ts";
import { counterexample, report, shrink } from "../cluster/simulation-shrinking.ts";
import type { Violation } from "../cluster/simulation-verdict.ts";

/*
 * Runs three hundred schedules. For thousands: SIMULATION_SCHEDULES=20000 npx vitest run --config vitest.soak.config.ts test/soak/simulation.test.ts
 */
const FIRST = Number(process.env["SIMULATION_SEED"] ?? 1);
const COUNT = Number(process.env["SIMULATION_SCHEDULES"] ?? 300);

/** The number of schedules in one test, and the number within which a mutant must be found. */
const AT_ONCE = 100;
const MOST_MUTANT_SCHEDULES = 300;

const groups = Array.from({ length: Math.ceil(COUNT / AT_ONCE) }, (_, group) => {
  const from = FIRST + group * AT_ONCE;
  return { from, to: Math.min(from + AT_ONCE, FIRST + COUNT) - 1 };
});

test.each(groups)("cluster protocol: violates no property with the seeds $from to $to", async ({ from, to }) => {
  for (let seed = from; seed <= to; seed++) {
    const found = await counterexample(planOf(seed));
    if (found !== undefined) expect.fail(report(await shrink(found)));
  }
});

/** The schedules of longer runs that have shown a violation. */
const FOUND = [470, 491, 554, 5_396, 11_140, 12_420, 47_402, 48_682];

test("cluster protocol: violates no property with the seeds that have shown a violation", async () => {
  for (const seed of FOUND) {
    const found = await counterexample(planOf(seed));
    if (found !== undefined) expect.fail(report(await shrink(found)));
  }
});

test("Simulation: repeats a run exactly by its seed", async () => {
  const mutation = { unfenced: true, lateMs: 5_000 };
  const runs = await Promise.all([1, 2].map(() => findings(mutation, 40)));
  expect(runs[0]).not.toEqual([]);
  expect(runs[1]).toEqual(runs[0]);
});

describe("the properties of the simulation", () => {
  test("detect an engine that does not check the owner of a write", async () => {
    expect(await isNoticed({ unfenced: true }, ["a"])).toBe(true);
  });

  test("detect a node that ends its processes too late", async () => {
    expect(await isNoticed({ lateMs: 2_500 }, ["f"])).toBe(true);
  });

  test("detect a node that does not count the time of a suspended machine", async () => {
    const monotonic = (machine: SimulatedMachine): Clock => ({ ...clockOf(machine), now: () => machine.monotonic() });
    expect(await isNoticed({ clock: monotonic }, ["e", "f"], ["freeze"])).toBe(true);
  });

  test("detect a node that counts its lease by the time of day alone", async () => {
    const wall = (machine: SimulatedMachine): Clock => ({ ...clockOf(machine), monotonic: () => machine.now() });
    expect(await isNoticed({ clock: wall }, ["f"], ["set_clock", "cut_engine"])).toBe(true);
  });

  test("detect a node that does not write again what a failover has lost", async () => {
    expect(await isNoticed({ forgets: true }, ["b", "c"], ["failover"])).toBe(true);
  });

  test("detect an engine that allows claims at once after a failover", async () => {
    expect(await isNoticed({ hasty: true }, ["b", "c", "f"], ["failover"])).toBe(true);
  });

  test("detect an engine that counts again what is written again", async () => {
    expect(await isNoticed({ recounts: true }, ["j"], ["failover"])).toBe(true);
  });

  test("detect a caller that sends a turn again which a failover has lost", async () => {
    expect(await isNoticed({ transport: unknowing }, ["k"], ["failover", "kill"])).toBe(true);
  });

  test("detect a retry with another idempotency key", async () => {
    expect(await isNoticed({ transport: withoutKeys }, ["b"])).toBe(true);
  });
});

/** Whether a mutant violates one of these properties in one of the first schedules. */
async function isNoticed(
  mutation: Mutation,
  properties: readonly Violation["property"][],
  kinds?: readonly PlannedFault["type"][],
): Promise<boolean> {
  for (let seed = 1; seed <= MOST_MUTANT_SCHEDULES; seed++) {
    const found = await counterexample(planOf(seed, kinds), mutation);
    if (found?.violations.some(({ property }) => properties.includes(property))) return true;
  }
  return false;
}

async function findings(mutation: Mutation, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let seed = 1; seed <= count; seed++) {
    const example = await counterexample(planOf(seed), mutation);
    if (example !== undefined) found.push(report(example));
  }
  return found;
}

function clockOf(machine: SimulatedMachine): Clock {
  return {
    now: () => machine.now(),
    monotonic: () => machine.monotonic(),
    schedule: (ms, callback) => machine.schedule(ms, callback),
  };
}

/** Does not tell the node that the caller knows the turn as accepted. */
function unknowing(transport: Transport): Transport {
  return { ...transport, turn: (to, { known: _, ...request }, signal) => transport.turn(to, request, signal) };
}

/** Gives each retry of a turn another idempotency key. */
function withoutKeys(transport: Transport): Transport {
  const asked = new Map<string, number>();
  const turn = (
    to: Parameters<Transport["turn"]>[0],
    request: TurnRequest,
    signal: AbortSignal,
  ): AsyncIterable<TurnFrame> => {
    const { ask, turnId } = request;
    const times = asked.get(turnId) ?? 0;
    asked.set(turnId, times + 1);
    if (ask === undefined || times === 0) return transport.turn(to, request, signal);
    const other = { ...ask, idempotencyKey: `${ask.idempotencyKey} for the ${times + 1}. time` };
    return transport.turn(to, { ...request, ask: other }, signal);
  };
  return { ...transport, turn };
}
