import type { AutoShutdown } from "./supervisor-spec.ts";

/**
 * Whether a supervisor ends because a child ended by itself and is not restarted. `othersActive` tells whether another
 * significant child is up or on its way up.
 */
export function endsSupervisor(rule: AutoShutdown, significant: boolean, othersActive: () => boolean): boolean {
  if (!significant) return false;
  switch (rule) {
    case "never":
      return false;
    case "any_significant":
      return true;
    case "all_significant":
      return !othersActive();
  }
}
