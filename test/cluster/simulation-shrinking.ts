import { type Mutation, Simulation } from "./simulation.ts";
import type { Plan } from "./simulation-plan.ts";
import { type Violation, violationsOf } from "./simulation-verdict.ts";

/** A plan that violates a property. */
export interface Counterexample {
  readonly plan: Plan;
  readonly simulation: Simulation;
  readonly violations: readonly Violation[];
}

/** Runs a plan. Returns `undefined` if it violates no property. */
export async function counterexample(plan: Plan, mutation: Mutation = {}): Promise<Counterexample | undefined> {
  const simulation = new Simulation(plan, mutation);
  await simulation.run();
  const violations = violationsOf(simulation);
  return violations.length === 0 ? undefined : { plan, simulation, violations };
}

/** Removes what is not needed to violate one of the violated properties. */
export async function shrink(found: Counterexample, mutation: Mutation = {}): Promise<Counterexample> {
  const violated = new Set(found.violations.map(({ property }) => property));
  let least = found;
  for (const part of ["faults", "asks"] as const) {
    for (const one of least.plan[part]) {
      const others = { ...least.plan, [part]: least.plan[part].filter((other: unknown) => other !== one) };
      const still = await counterexample(others, mutation);
      if (still?.violations.some(({ property }) => violated.has(property))) least = still;
    }
  }
  return least;
}

/** Describes a counterexample, with everything needed to repeat it. */
export function report({ plan, simulation, violations }: Counterexample): string {
  const { asks: _, faults: __, ...rest } = plan;
  return [
    `seed ${plan.seed}: again with SIMULATION_SEED=${plan.seed} SIMULATION_SCHEDULES=1`,
    ...violations.map(({ property, what }) => `(${property}) ${what}`),
    "the smallest plan that shows it:",
    JSON.stringify(rest),
    ...simulation.trace,
  ].join("\n");
}
