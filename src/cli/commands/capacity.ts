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
    const { processes, waiting, turns, spares, limits } = report;
    const rows = [
      ["processes", String(processes), String(waiting), String(limits.processes ?? "-")],
      ["turns", String(turns.running), String(turns.waiting), String(limits.turns ?? "-")],
      ["spares", String(spares.ready), String(spares.starting), "-"],
    ];
    const numbers = ["RUNNING", "WAITING", "LIMIT"].map((head) => ({ head, align: "right" }) as const);
    print(options.json, report, () => table([{ head: "" }, ...numbers], rows, undefined));
  });
}
