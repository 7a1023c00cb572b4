import type { Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { nameKey } from "../names.ts";
import { of, seconds } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { OpenCount } from "./open-count.ts";

/** Measures processes: how many are up, how long that took, and how long they stay. @returns what ends that */
export function measureActivations(meter: Meter): (() => void)[] {
  const activations = new OpenCount(meter, METRICS.activations, "Processes that are up", "{process}");
  const starts = seconds(meter, METRICS.activationStartDuration, "How long processes took to be up");
  const uptime = seconds(meter, METRICS.activationUptime, "How long processes were up");
  return [
    on("castellan:activation:start", ({ durationMs, resumed, spare, session, ...facts }) => {
      activations.begin(nameKey(session), of(facts));
      starts.record(durationMs / 1_000, { ...of(facts), [ATTRIBUTES.resumed]: resumed, [ATTRIBUTES.spare]: spare });
    }),
    on("castellan:activation:end", ({ exit, uptimeMs, session, ...facts }) => {
      if (!activations.end(nameKey(session))) return;
      uptime.record(uptimeMs / 1_000, { ...of(facts), [ATTRIBUTES.exitClass]: exit.class });
    }),
  ];
}
