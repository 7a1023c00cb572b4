import type { Meter, ObservableResult } from "@opentelemetry/api";
import { registry } from "../application/registry.ts";
import { on } from "../events.ts";
import { of } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";

/** Measures sessions: in which states they are, and how often they are restarted or set aside. @returns what ends that */
export function measureSessions(meter: Meter): (() => void)[] {
  const restarts = meter.createCounter(METRICS.restarts, {
    description: "Restarts nobody asked for",
    unit: "{restart}",
  });
  const quarantines = meter.createCounter(METRICS.quarantines, {
    description: "Sessions set aside",
    unit: "{session}",
  });
  const sessions = meter.createObservableGauge(METRICS.sessions, {
    description: "Sessions by their state",
    unit: "{session}",
  });
  sessions.addCallback(observeSessions);
  return [
    on("castellan:session:restart", ({ exit, ...facts }) =>
      restarts.add(1, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class }),
    ),
    on("castellan:session:quarantine", (facts) => quarantines.add(1, of(facts))),
    () => sessions.removeCallback(observeSessions),
  ];
}

/** How many sessions of this process are in which state. */
function observeSessions(result: ObservableResult): void {
  for (const [supervisor, states] of registry.states()) {
    for (const [state, count] of states)
      result.observe(count, { ...of({ supervisor }), [ATTRIBUTES.sessionState]: state });
  }
}
