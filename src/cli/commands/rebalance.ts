import { type Command, InvalidArgumentError } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

const COLUMNS: readonly Column[] = [
  { head: "SESSION", least: 12 },
  { head: "FROM", least: 8 },
  { head: "TO", least: 8 },
  { head: "WAS" },
];

/** What a session did before it moved. */
const WAS = { none: "stored", idle: "idle", busy: "in a turn" } as const;

/** The command `rebalance`. */
export function rebalanceCommand(): Command {
  return sessionCommand("rebalance", "move global sessions to even out the load of the nodes, idle ones first", [
    "castellan rebalance",
    "castellan rebalance --max 50 --cluster castellan.config.ts",
  ])
    .option("--max <count>", "the most sessions to move", countOf, 10)
    .action(rebalance);
}

async function rebalance(options: ServerOptions & { readonly max: number }): Promise<void> {
  const moved = await (await clientFor(options)).rebalance({ max: options.max });
  const rows = moved.map(({ name, from, to, activity }) => [nameArgument(name), from, to, WAS[activity]]);
  print(options.json, moved, () => (rows.length === 0 ? "" : table(COLUMNS, rows, outputWidth())));
  if (rows.length === 0) tell(options.json, "Nothing moved: the load is even, or the server is in no cluster.");
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new InvalidArgumentError("Expected a whole number above zero.");
}
