import type { KillRecord } from "./random-kills.ts";

/** Returns how often each kind of event happened, to show that a run covers all of them. */
export function distributionOf({ lives, journal, model, disturbances }: KillRecord): Record<string, unknown> {
  const turns = [...model.turns.values()];
  return {
    kills: lives.length,
    ...disturbances,
    "kills by sign": counts(lives.map(({ moment: { sign, stopping } }) => `${sign}${stopping ? ", stopping" : ""}`)),
    "kills without the sign": lives.filter(({ signed }) => !signed).length,
    "kills before all was up": lives.filter(({ ready }) => !ready).length,
    turns: counts(journal.turns.map(({ state, attempts }) => `${state} after ${attempts} attempts`)),
    "requests to the model": model.requests,
    "prompts that reached the model again": turns.filter(({ prompts }) => prompts > 1).length,
    "prompts that were answered again": turns.filter(({ answers }) => answers > 1).length,
  };
}

function counts(values: readonly string[]): Record<string, number> {
  const groups = Object.groupBy(values, (value) => value);
  return Object.fromEntries(Object.entries(groups).map(([value, all = []]) => [value, all.length]));
}
