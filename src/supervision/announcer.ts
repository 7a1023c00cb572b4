import type { SupervisionEvent } from "./supervision-event.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/**
 * Makes the function that tells a listener of events, in order. It tells them in a microtask, so that a listener may
 * call the supervisor without meeting it in the middle of a step, and keeps whatever the listener throws or rejects
 * to itself.
 */
export function announcer(deps: SupervisorDeps): (event: SupervisionEvent) => void {
  if (deps.onEvent === undefined) return () => {};
  return (event) => {
    const told = Promise.resolve().then(() => deps.onEvent?.(event));
    told.catch(() => {});
  };
}
