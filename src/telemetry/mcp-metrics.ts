import type { Meter } from "@opentelemetry/api";
import { registry } from "../application/names/registry.ts";
import { of } from "./instruments.ts";
import { LimitedNames } from "./limited-names.ts";
import { ATTRIBUTES, METRICS } from "./names.ts";
import { type Count, observeCounts } from "./observed-counts.ts";

/** Of how many MCP servers the names are told. Each session may have others. */
const MOST_SERVERS = 50;

/** Measures how many sessions lack an MCP server. @returns what ends that */
export function measureMcpServers(meter: Meter): (() => void)[] {
  const names = new LimitedNames(MOST_SERVERS);
  const description = "Sessions whose MCP server is not connected, does not answer or has ended";
  return [
    observeCounts(meter, METRICS.mcpServersFailed, { description, unit: "{session}" }, () => failedServers(names)),
  ];
}

function* failedServers(names: LimitedNames): Generator<Count> {
  for (const [supervisor, servers] of registry.faultyServers()) {
    const counts = new Map<string, number>();
    for (const [server, count] of servers) {
      const name = names.of(server);
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
    for (const [name, count] of counts) yield [{ ...of({ supervisor }), [ATTRIBUTES.mcpServer]: name }, count];
  }
}
