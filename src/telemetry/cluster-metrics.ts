import type { Meter } from "@opentelemetry/api";
import { on } from "../events.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";

/**
 * Measures a node of a cluster: how often it had to give up all that it owned, and how many sessions it has taken. The name of the
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
  return [
    on("castellan:node:lose", ({ node }) => losses.add(1, { [ATTRIBUTES.node]: node })),
    on("castellan:global:claim", ({ node }) => claims.add(1, { [ATTRIBUTES.node]: node })),
  ];
}
