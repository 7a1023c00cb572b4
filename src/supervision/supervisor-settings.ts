import type { Intensity } from "./intensity.ts";
import type { AutoShutdown, Strategy, SupervisorSpec } from "./supervisor-spec.ts";

/** The options of a supervisor with every field decided. */
export interface SupervisorSettings {
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  readonly onMaxRestarts: "quarantine" | "escalate";
  readonly autoShutdown: AutoShutdown;
  readonly maxChildren: number;
  readonly onStartFailure: "continue" | "abort";
}

/** Fills in the defaults. */
export function supervisorSettings(spec: SupervisorSpec): SupervisorSettings {
  const { strategy = "one_for_one", maxRestarts = 3, maxSeconds = 5, onMaxRestarts = "quarantine" } = spec;
  const { autoShutdown = "never", maxChildren = Number.POSITIVE_INFINITY, onStartFailure = "continue" } = spec;
  const intensity = { maxRestarts, maxSeconds };
  return { strategy, intensity, onMaxRestarts, autoShutdown, maxChildren, onStartFailure };
}
