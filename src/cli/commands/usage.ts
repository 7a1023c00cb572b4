import { type Command, Option } from "commander";
import type { UsageReport } from "../../client/index.ts";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";
import { dollars } from "../terminal/text.ts";

type Dimension = "session" | "model" | "day";

interface UsageOptions extends ServerOptions {
  readonly by?: Dimension[];
  readonly label?: string;
  readonly since?: string;
  readonly until?: string;
}

/** The command `usage`. */
export function usageCommand(): Command {
  return serverCommand("usage", "report what the sessions have spent, as Claude Code estimates it", [
    "castellan usage",
    "castellan usage --by day model --since 2026-11-01",
    "castellan usage --label plan",
  ])
    .addOption(new Option("--by <dimension...>", "report by these").choices(["session", "model", "day"]))
    .option("--label <name>", "report also by the value of this label")
    .option("--since <day>", "the first day, in UTC, such as 2026-11-24")
    .option("--until <day>", "the last day, in UTC")
    .action(usage);
}

async function usage(options: UsageOptions): Promise<void> {
  const { json, by = [], label, since, until } = options;
  const reports = await (await clientFor(options)).usage({ by, label, since, until });
  const dimensions = [...by, ...(label === undefined ? [] : (["label"] as const))];
  const columns: Column[] = [
    ...dimensions.map((dimension) => ({
      head: (dimension === "label" ? `${label}` : dimension).toUpperCase(),
      least: 10,
    })),
    { head: "COST", align: "right" },
    ...["TURNS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE"].map((head): Column => ({ head, align: "right" })),
  ];
  const rows = reports.map((report) => {
    const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = report.usage;
    const counts = [report.turns, inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens];
    return [
      ...dimensions.map((dimension) => cellOf(report, dimension)),
      dollars(report.costUsd),
      ...counts.map(String),
    ];
  });
  print(json, reports, () => (rows.length === 0 ? "" : table(columns, rows, outputWidth())));
  if (rows.length === 0) tell(json, "Nothing has been spent.");
}

function cellOf(report: UsageReport, dimension: Dimension | "label"): string {
  if (dimension !== "session") return report[dimension] ?? "-";
  return report.session === undefined ? "-" : nameArgument(report.session);
}
