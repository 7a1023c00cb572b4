import { JOURNAL_VARIABLE } from "../options/journal-options.ts";
import type { SupervisorSettings } from "../options/supervisor-options.ts";
import type { EffectiveOptions } from "./effective-option.ts";
import { originIn } from "./effective-option.ts";
import { shownValue } from "./shown-value.ts";

/** What a tree does if nobody says so, see `SupervisorSpec`. */
const TREE_DEFAULTS = {
  strategy: "one_for_one",
  maxRestarts: 3,
  maxSeconds: 5,
  onMaxRestarts: "quarantine",
  autoShutdown: "never",
} as const;

/** The options of a supervisor itself, those of `capacity` one by one. */
export function effectiveSupervisorOptions({
  name,
  given,
  tree,
  budget,
  onStartFailure,
  capacity,
  journal,
}: SupervisorSettings): EffectiveOptions {
  const owner = { kind: "supervisor", name } as const;
  const own = { owner, options: given };
  const values = { ...TREE_DEFAULTS, ...tree, onStartFailure, budget, journal };
  const options = Object.entries(values).map(([option, value]) => [option, value, originIn([own], option)] as const);
  const limits = { owner, options: given.capacity ?? {} };
  const capacities = Object.entries(capacity).map(
    ([option, value]) => [`capacity.${option}`, value, originIn([limits], option)] as const,
  );
  const shown = [...options, ...capacities].flatMap(([option, value, origin]) =>
    value === undefined ? [] : [[option, { value: shownValue(option, value), origin }] as const],
  );
  const fromEnvironment = given.journal === undefined && Boolean(process.env[JOURNAL_VARIABLE]);
  return {
    ...Object.fromEntries(shown),
    ...(fromEnvironment
      ? {
          journal: {
            value: shownValue("journal", journal),
            origin: { from: "environment", variable: JOURNAL_VARIABLE },
          },
        }
      : {}),
  };
}
