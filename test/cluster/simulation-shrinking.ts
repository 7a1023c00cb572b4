import { type Mutation, Simulation } from "./simulation.ts";
import type { Plan } from "./simulation-plan.ts";
import { type Violation, violationsOf } from "./simulation-verdict.ts";

/** A plan that shows that something is wrong. */
export interface Counterexample {
  readonly plan: Plan;
  readonly simulation: Simulation;
  readonly violations: readonly Violation[];
}

/** Carries a plan out. `undefined` if nothing is wrong. */
export async function counterexample(plan: Plan, mutation: Mutation = {}): Promise<Counterexample | undefined> {
  const simulation = new Simulation(plan, mutation);
  await simulation.run();
  const violations = violationsOf(simulation);
  return violations.length === 0 ? undefined : { plan, simulation, violations };
}

/** Leaves out what is not needed to break one of the laws that are broken. */
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

/** In words, with all that it takes to see it again. */
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
