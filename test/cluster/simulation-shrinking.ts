import { type Mutation, Simulation } from "./simulation.ts";
import type { Plan } from "./simulation-plan.ts";
import { type Violation, violationsOf } from "./simulation-verdict.ts";

/** A plan that breaks a law. */
export interface Counterexample {
  readonly plan: Plan;
  readonly simulation: Simulation;
  readonly violations: readonly Violation[];
}

/** Runs a plan. Returns `undefined` if it breaks no law. */
export async function counterexample(plan: Plan, mutation: Mutation = {}): Promise<Counterexample | undefined> {
  const simulation = new Simulation(plan, mutation);
  await simulation.run();
  const violations = violationsOf(simulation);
  return violations.length === 0 ? undefined : { plan, simulation, violations };
}

/** Removes what is not needed to break one of the broken laws. */
export async function shrunk(found: Counterexample, mutation: Mutation = {}): Promise<Counterexample> {
  const laws = new Set(found.violations.map(({ law }) => law));
  let least = found;
  for (const part of ["faults", "asks"] as const) {
    for (const one of least.plan[part]) {
      const others = { ...least.plan, [part]: least.plan[part].filter((other: unknown) => other !== one) };
      const still = await counterexample(others, mutation);
      if (still?.violations.some(({ law }) => laws.has(law))) least = still;
    }
  }
  return least;
}

/** Describes a counterexample, with everything needed to repeat it. */
export function report({ plan, simulation, violations }: Counterexample): string {
  const { asks: _, faults: __, ...ground } = plan;
  return [
    `seed ${plan.seed}: again with SIMULATION_SEED=${plan.seed} SIMULATION_SCHEDULES=1`,
    ...violations.map(({ law, what }) => `(${law}) ${what}`),
    "the least that shows it:",
    JSON.stringify(ground),
    ...simulation.trace,
  ].join("\n");
}
