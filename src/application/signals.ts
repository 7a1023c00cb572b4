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
  const unknown = Object.keys(options).find((field) => field !== "deadline" && field !== "signals");
  if (unknown !== undefined) throw invalidOptions("stopOnSignals", [{ field: unknown, message: "is no option" }]);
  // When the signal comes it is too late to say so.
  if (parseDuration(deadline) === undefined) {
    throw invalidOptions("stopOnSignals", [{ field: "deadline", message: `expected a duration: ${DURATION_FORMS}` }]);
  }
  const wiring: Wiring = { target, deadline, signals };
  for (const signal of signals) if (wiredTo(signal).length === 0) process.on(signal, onSignal);
  wirings.add(wiring);
  return () => {
    if (!wirings.delete(wiring)) return;
    for (const signal of signals) if (wiredTo(signal).length === 0) process.off(signal, onSignal);
  };
}

interface Wiring {
  readonly target: Stoppable;
  readonly deadline: Duration;
  readonly signals: readonly NodeJS.Signals[];
}

/** All that this process has wired; a signal is for all of them together, and goes on when the last has ended. */
const wirings = new Set<Wiring>();
let received = 0;

function wiredTo(signal: NodeJS.Signals): Wiring[] {
  return [...wirings].filter(({ signals }) => signals.includes(signal));
}

function onSignal(signal: NodeJS.Signals): void {
  const concerned = wiredTo(signal);
  received++;
  // Killing makes the draining end that began with the first signal.
  if (received === 2) for (const { target } of concerned) void target.stop({ kill: true });
  if (received > 1) return;
  void Promise.allSettled(concerned.map(({ target, deadline }) => target.drain({ deadline }))).then(() => {
    received = 0;
    wirings.clear();
    process.off(signal, onSignal);
    for (const other of concerned.flatMap(({ signals }) => signals)) process.off(other, onSignal);
    process.kill(process.pid, signal);
  });
}
