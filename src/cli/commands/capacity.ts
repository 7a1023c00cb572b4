import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { print } from "../terminal/output.ts";
import { table } from "../terminal/table.ts";

/** The command `capacity`. */
export function capacityCommand(): Command {
  return serverCommand("capacity", "show processes, running turns, and the sessions that wait for either", [
    "castellan capacity",
  ]).action(async (options: ServerOptions) => {
    const report = await (await clientFor(options)).capacity();
    const { processes, waiting, turns, spares } = report;
    const rows = [
      ["processes", String(processes), String(waiting)],
      ["turns", String(turns.running), String(turns.waiting)],
      ["spares", String(spares.ready), String(spares.starting)],
    ];
    print(options.json, report, () =>
      table([{ head: "" }, { head: "RUNNING", align: "right" }, { head: "WAITING", align: "right" }], rows, undefined),
    );
  });
}
