import type { Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { of } from "./instruments.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { OpenCount } from "./open-count.ts";

/** Measures approvals: how many are waited for, and how they were settled. @returns what ends that */
export function measureApprovals(meter: Meter): (() => void)[] {
  const approvals = meter.createCounter(METRICS.approvals, {
    description: "Approvals that were settled",
    unit: "{approval}",
  });
  const pending = new OpenCount(meter, METRICS.approvalsPending, "Approvals that are waited for", "{approval}");
  return [
    on("castellan:approval:request", ({ id, ...facts }) => pending.begin(id, of(facts))),
    on("castellan:approval:settle", ({ id, outcome, ...facts }) => {
      pending.end(id);
      approvals.add(1, { ...of(facts), [ATTRIBUTES.outcome]: outcome });
    }),
  ];
}
