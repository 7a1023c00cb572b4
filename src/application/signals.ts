import { constants } from "node:os";
import { z } from "zod";
import type { Duration } from "../duration.ts";
import { durationSchema, validate } from "../session/options/validation.ts";

/** The object to stop when the process gets a signal. */
interface Stoppable {
  drain(options: { readonly deadline?: Duration }): Promise<unknown>;
  stop(options?: { readonly kill?: boolean }): Promise<void>;
}

export interface SignalOptions {
  /** How long turns may take to finish. Default `"25s"`, within the 30 s that Kubernetes grants. */
  readonly deadline?: Duration;
  /** Default `["SIGTERM", "SIGINT"]`. */
  readonly signals?: readonly NodeJS.Signals[];
}

/**
 * Drains `target` at the first signal and kills it at the second. Then the signal has its usual effect on the process.
 *
 * @returns a function that undoes it
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function stopOnSignals(target: Stoppable, options: SignalOptions): () => void {
  // Validated now: when the signal comes, it is too late to report a problem.
  const { deadline, signals } = validate(schema, options, "stopOnSignals");
  const wiring: Wiring = { target, deadline, signals: new Set(signals) };
  for (const signal of wiring.signals) if (wiredTo(signal).length === 0) process.on(signal, onSignal);
  wirings.add(wiring);
  return () => unwire([wiring]);
}

const schema = z.strictObject({
  deadline: durationSchema.default(25_000),
  signals: z
    .array(
      z.custom<NodeJS.Signals>(
        (value) => typeof value === "string" && value in constants.signals,
        "expected the name of a signal",
      ),
    )
    .default(["SIGTERM", "SIGINT"]),
});

interface Wiring {
  readonly target: Stoppable;
  /** In milliseconds. */
  readonly deadline: number;
  readonly signals: ReadonlySet<NodeJS.Signals>;
}

/** All wirings of this process. A signal applies to all of them, and has its usual effect once the last target has ended. */
const wirings = new Set<Wiring>();
let received = 0;

function wiredTo(signal: NodeJS.Signals): Wiring[] {
  return [...wirings].filter(({ signals }) => signals.has(signal));
}

function unwire(some: readonly Wiring[]): void {
  for (const wiring of some) {
    wirings.delete(wiring);
    for (const signal of wiring.signals) if (wiredTo(signal).length === 0) process.off(signal, onSignal);
  }
}

function onSignal(signal: NodeJS.Signals): void {
  const wired = wiredTo(signal);
  received++;
  // Killing ends the drain that the first signal started.
  if (received === 2) for (const { target } of wired) void target.stop({ kill: true });
  if (received > 1) return;
  void Promise.allSettled(wired.map(({ target, deadline }) => target.drain({ deadline }))).then(() => {
    received = 0;
    unwire(wired);
    // Another copy of this package must not count the repeated signal as a second one.
    process.off(signal, onSignal);
    process.kill(process.pid, signal);
  });
}
