import type { Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { nameKey } from "../names.ts";
import { of, seconds } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { OpenCount } from "./open-count.ts";

/** Measures the wait for processes: how many sessions wait, and how long. @returns what ends that */
export function measureCapacity(meter: Meter): (() => void)[] {
  const waiting = new OpenCount(meter, METRICS.capacityWaiting, "Sessions that wait for a process", "{session}");
  const waited = seconds(meter, METRICS.capacityWaitDuration, "How long sessions waited for a process");
  return [
    on("castellan:capacity:wait", ({ session, ...facts }) => waiting.begin(nameKey(session), of(facts))),
    on("castellan:capacity:end", ({ session, waitedMs, granted, ...facts }) => {
      waiting.end(nameKey(session));
      waited.record(waitedMs / 1_000, { ...of(facts), [ATTRIBUTES.granted]: granted });
    }),
  ];
}
