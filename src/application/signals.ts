import { DURATION_FORMS, type Duration, parseDuration } from "../duration.ts";
import { invalidOptions } from "../session/validation.ts";

/** What is stopped when the host is told to end. */
interface Stoppable {
  drain(options: { readonly deadline?: Duration }): Promise<unknown>;
  stop(options?: { readonly kill?: boolean }): Promise<void>;
}

export interface SignalOptions {
  /** How long turns may take to finish. Default `"25s"`, which leaves room in the 30 s that Kubernetes gives. */
  readonly deadline?: Duration;
  /** Default `["SIGTERM", "SIGINT"]`. */
  readonly signals?: readonly NodeJS.Signals[];
}

/**
 * Ends `target` when this process is told to end: the first signal lets turns finish, the second ends it at once. Then the
 * signal does to the process what it would have done without this.
 *
 * @returns takes it back
 * @throws CastellanError `INVALID_OPTIONS` if the deadline is no duration
 */
export function stopOnSignals(target: Stoppable, options: SignalOptions): () => void {
  const { deadline = "25s", signals = ["SIGTERM", "SIGINT"] } = options;
  // When the signal comes it is too late to say so.
  if (parseDuration(deadline) === undefined) {
    throw invalidOptions("stopOnSignals", [{ field: "deadline", message: `expected a duration: ${DURATION_FORMS}` }]);
  }
  let received = 0;
  const unwire = (): void => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    received++;
    if (received > 2) return;
    const ended = received === 1 ? target.drain({ deadline }) : target.stop({ kill: true });
    void ended.finally(() => {
      unwire();
      process.kill(process.pid, signal);
    });
  };
  for (const signal of signals) process.on(signal, onSignal);
  return unwire;
}
