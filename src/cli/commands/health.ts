import { type Command, Option } from "commander";
import { reachServer } from "../connection/find-server.ts";
import { askProbe, PROBES, type Probe } from "../connection/probe.ts";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { CliError } from "../terminal/cli-error.ts";
import { styledState } from "../terminal/colors.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outputWidth, print } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

const COLUMNS: readonly Column[] = [{ head: "CHILD", least: 12 }, { head: "STATUS" }, { head: "REASON", least: 20 }];

interface HealthOptions extends ServerOptions {
  readonly probe?: Probe;
}

/** The command `health`. */
export function healthCommand(): Command {
  return serverCommand("health", "check the supervisor and its sessions; exits with 1 if it is unhealthy", [
    "castellan health",
    "castellan health --json | jq .status",
    "castellan health --probe livez     # for the health check of a container",
  ])
    .addOption(
      new Option(
        "--probe <name>",
        "ask only this probe of the server, which needs no token and asks no session",
      ).choices(PROBES),
    )
    .action(async (options: HealthOptions) => {
      const { probe } = options;
      await (probe === undefined ? health(options) : answerProbe(probe, options));
    });
}

async function answerProbe(probe: Probe, { url, json }: HealthOptions): Promise<void> {
  await askProbe(probe, await reachServer({ url, env: process.env, cwd: process.cwd() }));
  print(json, { probe, ok: true }, () => `${probe}: ok`);
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
