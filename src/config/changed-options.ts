import { isDeepStrictEqual } from "node:util";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";

/** The options of a supervisor, besides `defaults`, in which `after` differs. */
export function changedOptions(before: SupervisorOptions, after: SupervisorOptions): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof SupervisorOptions>;
  return [...names].filter((name) => name !== "defaults" && !isDeepStrictEqual(before[name], after[name]));
}
