import type { Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";

/**
 * Measures a node of a cluster: how often it had to give up all that it owned, how many sessions it has taken, and what of its
 * database had to be noticed. The name of the
 * node is an attribute, since a process is one. @returns what ends that
 */
export function measureCluster(meter: Meter): (() => void)[] {
  const losses = meter.createCounter(METRICS.nodeLosses, {
    description: "How often a node had to give up its global sessions, because it could not say that it lives",
    unit: "{loss}",
  });
  const claims = meter.createCounter(METRICS.globalClaims, {
    description: "Global sessions that a node has taken",
    unit: "{session}",
  });
  const histories = meter.createCounter(METRICS.nodeHistories, {
    description: "How often the database of a node had another history than it had",
    unit: "{change}",
  });
  const lacking = meter.createCounter(METRICS.journalLacking, {
    description:
      "How often a database lacked what it had confirmed, by whether it is lost or has been written once more",
    unit: "{time}",
  });
  return [
    on("castellan:node:lose", ({ node }) => losses.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:node:history", ({ node }) => histories.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:journal:lack", ({ of, lost }) =>
      lacking.add(1, { [ATTRIBUTES.lacking]: of, [ATTRIBUTES.lost]: lost }),
    ),
    on("castellan:global:claim", ({ node }) => claims.add(1, { [ATTRIBUTES.node]: node })),
  ];
}
