import { constants } from "node:os";
import { z } from "zod";
import type { Duration } from "../duration.ts";
import { durationSchema, validate } from "../session/options/validation.ts";

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
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function stopOnSignals(target: Stoppable, options: SignalOptions): () => void {
  // When the signal comes it is too late to say that something is wrong.
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

/** All that this process has wired; a signal is for all of them together, and goes on when the last has ended. */
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
  const concerned = wiredTo(signal);
  received++;
  // Killing makes the draining end that began with the first signal.
  if (received === 2) for (const { target } of concerned) void target.stop({ kill: true });
  if (received > 1) return;
  void Promise.allSettled(concerned.map(({ target, deadline }) => target.drain({ deadline }))).then(() => {
    received = 0;
    unwire(concerned);
    // Nobody else's supervisor may take it for a second one.
    process.off(signal, onSignal);
    process.kill(process.pid, signal);
  });
}
