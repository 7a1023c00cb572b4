import type { Attributes, Meter } from "@opentelemetry/api";
import { on, type PoolFacts } from "../events.ts";
import { of, seconds } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { OpenCount } from "./open-count.ts";

/**
 * Measures pools: how many members are lent, how many wait for one and for how long, and how many got none. The name of a pool is
 * an attribute, since there are only as many as have been configured. @returns what ends that
 */
export function measurePools(meter: Meter): (() => void)[] {
  const lent = new OpenCount(meter, METRICS.poolLent, "Members of pools that are lent", "{session}");
  const waiting = new OpenCount(meter, METRICS.poolWaiting, "Turns and loans that wait for a member", "{request}");
  const waited = seconds(meter, METRICS.poolWaitDuration, "How long turns and loans waited for a member");
  const exhausted = meter.createCounter(METRICS.poolExhausted, {
    description: "Turns and loans for which a pool had no member in time",
    unit: "{request}",
  });
  return [
    on("castellan:pool:checkout", ({ id, ...facts }) => lent.begin(id, ofPool(facts))),
    on("castellan:pool:checkin", ({ id }) => void lent.end(id)),
    on("castellan:pool:wait", ({ id, ...facts }) => waiting.begin(id, ofPool(facts))),
    on("castellan:pool:leave", ({ id, waitedMs, granted, ...facts }) => {
      waiting.end(id);
      waited.record(waitedMs / 1_000, { ...ofPool(facts), [ATTRIBUTES.poolGranted]: granted });
    }),
    on("castellan:pool:exhausted", (facts) => exhausted.add(1, ofPool(facts))),
  ];
}

function ofPool({ pool, ...facts }: PoolFacts): Attributes {
  return { ...of(facts), [ATTRIBUTES.pool]: pool };
}
