import { CastellanError } from "../errors.ts";
import type { Backoff } from "./backoff.ts";
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
  readonly backoff: Backoff;
}

/** Fills in the defaults. Throws `INVALID_OPTIONS`, naming the option, what was given and what is allowed. */
export function supervisorSettings(spec: SupervisorSpec): SupervisorSettings {
  const { strategy = "one_for_one", maxRestarts = 3, maxSeconds = 5, onMaxRestarts = "quarantine" } = spec;
  const { autoShutdown = "never", maxChildren = Number.POSITIVE_INFINITY, onStartFailure = "continue" } = spec;
  const { base = 100, factor = 2, max = 30_000, jitter = 0.2 } = spec.backoff ?? {};

  oneOf("strategy", strategy, ["one_for_one", "one_for_all", "rest_for_one"]);
  oneOf("onMaxRestarts", onMaxRestarts, ["quarantine", "escalate"]);
  oneOf("autoShutdown", autoShutdown, ["never", "any_significant", "all_significant"]);
  oneOf("onStartFailure", onStartFailure, ["continue", "abort"]);
  check(isCount(maxRestarts), "maxRestarts", maxRestarts, "a whole number from 0 up");
  check(Number.isFinite(maxSeconds) && maxSeconds > 0, "maxSeconds", maxSeconds, "seconds above 0");
  check(isCount(maxChildren), "maxChildren", maxChildren, "a whole number from 0 up");
  // A wait of nothing, time and again, would let a child that crashes at once starve the event loop.
  check(Number.isFinite(base) && base > 0, "backoff.base", base, "milliseconds above 0");
  check(Number.isFinite(factor) && factor >= 1, "backoff.factor", factor, "a number from 1 up");
  check(Number.isFinite(max) && max > 0, "backoff.max", max, "milliseconds above 0");
  check(jitter >= 0 && jitter < 1, "backoff.jitter", jitter, "a number from 0 to below 1");

  const intensity = { maxRestarts, maxSeconds };
  const backoff = { base, factor, max, jitter };
  return { strategy, intensity, onMaxRestarts, autoShutdown, maxChildren, onStartFailure, backoff };
}

function oneOf(option: string, given: string, allowed: readonly string[]): void {
  check(allowed.includes(given), option, given, `one of ${allowed.join(", ")}`);
}

function check(valid: boolean, option: string, given: unknown, allowed: string): void {
  if (valid) return;
  const message = `${option} is ${String(given)}, it must be ${allowed}`;
  throw new CastellanError("INVALID_OPTIONS", message, { details: { problems: [{ field: option, message }] } });
}

function isCount(value: number): boolean {
  return (Number.isInteger(value) || value === Number.POSITIVE_INFINITY) && value >= 0;
}
