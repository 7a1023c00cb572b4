import type { Meter } from "@opentelemetry/api";
import { registry } from "../application/names/registry.ts";
import { on } from "../events.ts";
import { of } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { type Count, observeCounts } from "./observed-counts.ts";

/** Measures sessions: in which states they are, how often they are restarted or quarantined, and what faults they have. @returns what ends that */
export function measureSessions(meter: Meter): (() => void)[] {
  const restarts = meter.createCounter(METRICS.restarts, {
    description: "Restarts nobody asked for",
    unit: "{restart}",
  });
  const quarantines = meter.createCounter(METRICS.quarantines, {
    description: "Sessions quarantined",
    unit: "{session}",
  });
  const faults = meter.createCounter(METRICS.faults, {
    description: "What went wrong beside the turns, by its kind",
    unit: "{fault}",
  });
  return [
    on("castellan:session:restart", ({ exit, ...facts }) =>
      restarts.add(1, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class }),
    ),
    on("castellan:session:quarantine", (facts) => quarantines.add(1, of(facts))),
    on("castellan:session:fault", ({ kind, ...facts }) =>
      faults.add(1, { ...of(facts), [ATTRIBUTES.faultKind]: kind }),
    ),
    observeCounts(
      meter,
      METRICS.sessions,
      { description: "Sessions by their state", unit: "{session}" },
      sessionsByState,
    ),
  ];
}

/** How many sessions of this process are in which state. */
function* sessionsByState(): Generator<Count> {
  for (const [supervisor, states] of registry.states()) {
    for (const [state, count] of states) yield [{ ...of({ supervisor }), [ATTRIBUTES.sessionState]: state }, count];
  }
}
