import { withoutUndefined } from "../../fields.ts";
import { fromText, toText } from "../../journal/model/stored-text.ts";
import type { Hosted, NameHolder, NodeDescription, NodeEntry, NodeReport, NodeState } from "../protocol/engine.ts";

/* The columns and rows of the table of nodes. */

/** Returns a condition: the node has not renewed in time. `row` is the row's name in the statement. */
export function isStale(row: string): string {
  return `${row}.renewed_at + ${row}.stale_ms * interval '1 millisecond' <= clock_timestamp()`;
}

/** Returns a condition: the node is alive. */
export function isAlive(row: string): string {
  return `(${row}.ended_at is null and not ${isStale(row)})`;
}

export const NODE_COLUMNS: string = `nodes.boot, nodes.name, nodes.address, nodes.lowest_protocol, nodes.highest_protocol,
  nodes.release, nodes.labels, nodes.hosts, nodes.max_processes, nodes.stale_ms, nodes.load, nodes.draining, nodes.report,
  nodes.stale_ms - extract(epoch from clock_timestamp() - nodes.renewed_at)::double precision * 1000 as alive_for_ms`;

/** Inserts a node, or updates its description; see {@link joinValues}. */
export const JOIN: string = `
  insert into nodes (boot, name, address, lowest_protocol, highest_protocol, release, labels, hosts, max_processes, stale_ms,
    renewed_at, era)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), 0)
  on conflict (boot) do update set name = excluded.name, address = excluded.address,
    lowest_protocol = excluded.lowest_protocol, highest_protocol = excluded.highest_protocol, release = excluded.release,
    labels = excluded.labels, hosts = excluded.hosts, max_processes = excluded.max_processes, stale_ms = excluded.stale_ms,
    renewed_at = clock_timestamp()
  where nodes.ended_at is null`;

export function joinValues(node: NodeDescription): unknown[] {
  const { protocols, labels, hosts, maxProcesses, staleMs } = node;
  return [
    ...[node.boot, node.name, node.address].map(toText),
    ...protocols,
    toText(node.release),
    JSON.stringify(labels),
    JSON.stringify(hosts),
    maxProcesses ?? null,
    staleMs,
  ];
}

/** Selects the live node that has a name. Parameters: the name, the boot id of the node that wants it. */
export const NAME_HOLDER: string = `
  select nodes.boot, nodes.address, extract(epoch from nodes.renewed_at)::double precision * 1000 as renewed_at,
    nodes.stale_ms - extract(epoch from clock_timestamp() - nodes.renewed_at)::double precision * 1000 as alive_for_ms
  from nodes where name = $1 and boot <> $2 and ${isAlive("nodes")} limit 1`;

export interface NameHolderRow {
  readonly boot: string;
  readonly address: string;
  readonly renewed_at: number;
  readonly alive_for_ms: number;
}

export function nameHolderOf(row: NameHolderRow): NameHolder {
  const { boot, address, renewed_at: renewedAt, alive_for_ms: aliveForMs } = row;
  return { boot: fromText(boot), address: fromText(address), renewedAt, aliveForMs };
}

export interface NodeRow {
  readonly boot: string;
  readonly name: string;
  readonly address: string;
  readonly lowest_protocol: number;
  readonly highest_protocol: number;
  readonly release: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hosts: Hosted;
  readonly max_processes: number | null;
  readonly stale_ms: number;
  readonly load: number;
  readonly draining: boolean;
  readonly report: StoredReport | null;
  readonly alive_for_ms: number;
}

/** What a node tells of itself, in one column. */
interface StoredReport extends Partial<NodeReport>, Pick<NodeState, "families" | "busy"> {}

/** Returns the value of the column `report`. */
export function storedReport({ report, families, busy }: NodeState): string | null {
  const stored = withoutUndefined({ ...report, families, busy });
  return Object.keys(stored).length === 0 ? null : JSON.stringify(stored);
}

function isReport(report: Partial<NodeReport>): report is NodeReport {
  return report.sessions !== undefined;
}

/** Returns the entry of a node that has not ended. */
export function nodeOf(row: NodeRow): NodeEntry {
  const { families, busy, ...report } = row.report ?? {};
  return {
    boot: fromText(row.boot),
    name: fromText(row.name),
    address: fromText(row.address),
    protocols: [row.lowest_protocol, row.highest_protocol],
    release: fromText(row.release),
    labels: row.labels,
    hosts: row.hosts,
    maxProcesses: row.max_processes ?? undefined,
    staleMs: row.stale_ms,
    load: row.load,
    draining: row.draining,
    ...(isReport(report) && { report }),
    ...withoutUndefined({ families, busy }),
    alive: row.alive_for_ms > 0,
    aliveForMs: row.alive_for_ms,
  };
}
