import type { TurnEntry } from "../../../src/journal/model/turn-entry.ts";
import type { HandoverPlan } from "./handover-plan.ts";
import { HandoverSimulation } from "./handover-simulation.ts";
import { COST_USD } from "./simulated-talk.ts";

/**
 * `owner`: a write of a process that has not locked the file. `overlap`: turns of one session in two processes at once.
 * `lost`: an accepted turn that the journal lacks. `twice`: a turn that ran to its end twice. `told`: a caller who was
 * told something else than the journal has, or twice. `failed`: a turn that was cut although nothing happened to its
 * process. `cost`: costs that are not those of the completed turns. `progress`: something that does not end.
 */
export type HandoverLaw = "owner" | "overlap" | "lost" | "twice" | "told" | "failed" | "cost" | "progress";

export interface HandoverViolation {
  readonly law: HandoverLaw;
  readonly what: string;
}

/** Runs a plan. Returns every law that it violates. */
export async function handoverViolations(
  plan: HandoverPlan,
): Promise<{ readonly simulation: HandoverSimulation; readonly violations: readonly HandoverViolation[] }> {
  const simulation = new HandoverSimulation(plan);
  await simulation.run();
  const { content } = simulation.file;
  await content.close();
  await content.open({ id: "verdict", pid: 0, host: "here", startedAt: 0 });
  const turns = new Map<string, TurnEntry>();
  for (const { turn } of plan.turns) {
    const entry = await content.turn(turn);
    if (entry !== undefined) turns.set(turn, entry);
  }
  const spent = (await content.usage({ supervisor: "app", by: [] })).reduce((sum, { costUsd }) => sum + costUsd, 0);
  return { simulation, violations: [...violationsOf(simulation, turns, spent)] };
}

function* violationsOf(
  simulation: HandoverSimulation,
  turns: ReadonlyMap<string, TurnEntry>,
  spent: number,
): Generator<HandoverViolation> {
  const { plan, calls, accepted, finished, hurt, overlaps, file } = simulation;
  for (const { owned, by, at } of file.written) {
    if (!owned) yield { law: "owner", what: `${by} wrote at ${at.toFixed(1)} without the lock` };
  }
  for (const { at, key, older, newer } of overlaps) {
    yield { law: "overlap", what: `${older.name} and ${newer.name} ran turns of ${key} at once at ${at.toFixed(1)}` };
  }
  for (const turn of accepted) {
    if (!turns.has(turn)) yield { law: "lost", what: `${turn} was accepted, and the journal lacks it` };
  }
  for (const [turn, machines] of finished) {
    const [first, ...others] = machines;
    const isExcused = others.length === 0 || (first !== undefined && hurt.has(first));
    if (!isExcused)
      yield { law: "twice", what: `${turn} ran to its end in ${machines.map(({ name }) => name).join()}` };
  }
  for (const { planned, outcome, times } of calls) {
    const { turn } = planned;
    const entry = turns.get(turn);
    if (times > 1) yield { law: "told", what: `the caller of ${turn} was told ${times} times` };
    if (outcome !== undefined && entry?.state !== outcome) {
      yield { law: "told", what: `the caller of ${turn} was told ${outcome}, and the journal says ${entry?.state}` };
    }
  }
  // A long turn is cut at the deadline of its process.
  const longest = 6 * plan.stepMs;
  if (hurt.size === 0 && longest < plan.deadlineMs) {
    for (const [turn, { state }] of turns) {
      if (state === "interrupted") yield { law: "failed", what: `${turn} was cut, and no process was hurt` };
    }
  }
  const completed = [...turns.values()].filter(({ state }) => state === "completed").length;
  if (spent !== completed * COST_USD) yield { law: "cost", what: `${completed} turns cost ${spent}` };
  if (!simulation.isQuiet) yield { law: "progress", what: `left: ${simulation.leftovers.join(", ")}` };
}

/** Describes a plan that violates laws, with everything needed to repeat it. */
export function handoverReport(simulation: HandoverSimulation, violations: readonly HandoverViolation[]): string {
  const { plan, trace } = simulation;
  return [
    `seed ${plan.seed}: again with SIMULATION_SEED=${plan.seed} SIMULATION_SCHEDULES=1`,
    ...violations.map(({ law, what }) => `(${law}) ${what}`),
    JSON.stringify(plan),
    ...trace,
  ].join("\n");
}
