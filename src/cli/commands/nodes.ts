import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { styledState } from "../terminal/colors.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

const COLUMNS: readonly Column[] = [
  { head: "NODE", least: 12 },
  { head: "STATE" },
  { head: "LOAD", align: "right" },
  { head: "LIMIT", align: "right" },
  { head: "RELEASE" },
  { head: "ADDRESS", least: 16 },
  { head: "LABELS", least: 8 },
];

/** The command `nodes`. */
export function nodesCommand(): Command {
  return sessionCommand("nodes", "list the nodes of the server's cluster", ["castellan nodes"]).action(nodes);
}

async function nodes(options: ServerOptions): Promise<void> {
  const list = await (await clientFor(options)).nodes();
  const rows = list.map(({ name, state, load, maxProcesses, release, address, labels }) => [
    name,
    state,
    String(load),
    String(maxProcesses ?? "-"),
    release,
    address,
    Object.entries(labels)
      .map(([label, value]) => `${label}=${value}`)
      .join(" "),
  ]);
  const style = (cell: string, at: number): string => (at === 1 ? styledState(cell) : cell);
  print(options.json, list, () => (rows.length === 0 ? "" : table(COLUMNS, rows, outputWidth(), style)));
  if (rows.length === 0) tell(options.json, "The server is in no cluster.");
}
