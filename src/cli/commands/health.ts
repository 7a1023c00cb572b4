import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { CliError } from "../terminal/cli-error.ts";
import { styledState } from "../terminal/colors.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outputWidth, print } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

const COLUMNS: readonly Column[] = [{ head: "CHILD", least: 12 }, { head: "STATUS" }, { head: "REASON", least: 20 }];

/** The command `health`. */
export function healthCommand(): Command {
  return serverCommand("health", "check the supervisor and its sessions; exits with 1 if it is unhealthy", [
    "castellan health",
    "castellan health --json | jq .status",
  ]).action(health);
}

async function health(options: ServerOptions): Promise<void> {
  const report = await (await clientFor(options)).health();
  const { status, phase, sessions, active, details } = report;
  print(options.json, report, () => {
    const facts = [report.end, report.journal, report.journalDamage, report.cluster, report.clock].filter(
      (fact) => fact !== undefined,
    );
    const lines = [`${styledState(status)}: ${phase}, ${sessions} sessions, ${active} with a process`, ...facts];
    const rows = details.map(({ name, status: own, reason }) => [nameArgument(name), own, reason]);
    const style = (cell: string, at: number): string => (at === 1 ? styledState(cell) : cell);
    return [...lines, ...(rows.length === 0 ? [] : [table(COLUMNS, rows, outputWidth(), style)])].join("\n");
  });
  if (status === "unhealthy") throw new CliError("UNHEALTHY", "The supervisor is unhealthy.");
}
