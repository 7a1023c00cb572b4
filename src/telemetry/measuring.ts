import type { Meter } from "@opentelemetry/api";
import { measureActivations } from "./activation-metrics.ts";
import { measureApprovals } from "./approval-metrics.ts";
import { measureCapacity } from "./capacity-metrics.ts";
import { measureCluster } from "./cluster-metrics.ts";
import { measureMcpServers } from "./mcp-metrics.ts";
import { measurePools } from "./pool-metrics.ts";
import { measureSessions } from "./session-metrics.ts";
import { measureTurns } from "./turn-metrics.ts";

/**
 * Measures what happens to sessions, turns, processes, pools and the node. No name of a session, prompt or key is an attribute; their values
 * are those of a fixed set, but for the names of supervisors, pools, models, the node, and a limited number of MCP servers.
 *
 * @returns ends that
 */
export function measure(meter: Meter): () => void {
  const ends = [
    ...measureTurns(meter),
    ...measureSessions(meter),
    ...measureMcpServers(meter),
    ...measureActivations(meter),
    ...measureApprovals(meter),
    ...measureCapacity(meter),
    ...measurePools(meter),
    ...measureCluster(meter),
  ];
  return () => {
    for (const end of ends) end();
  };
}
