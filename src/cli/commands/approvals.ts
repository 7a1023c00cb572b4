import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";
import { shortDuration } from "../terminal/text.ts";

const COLUMNS: readonly Column[] = [
  { head: "APPROVAL" },
  { head: "SESSION", least: 12 },
  { head: "TOOL", least: 6 },
  { head: "FOR", align: "right" },
  { head: "LEFT", align: "right" },
  { head: "INPUT", least: 8 },
];

/** The longest input in a table that is not cut to a terminal, in characters. */
const LONGEST_INPUT = 200;

/** The command `approvals`. */
export function approvalsCommand(): Command {
  return sessionCommand("approvals", "list the permission requests that wait for an answer, the oldest first", [
    "castellan approvals",
    "castellan approvals --json | jq -r '.[].id'",
  ])
    .option("--global", "ask the nodes of the cluster for those of global sessions, too")
    .action(approvals);
}

async function approvals(options: ServerOptions & { readonly global?: boolean }): Promise<void> {
  const pending = await (await clientFor(options)).approvals({ global: options.global });
  const now = Date.now();
  const rows = pending.map(({ id, session, tool, input, title, requestedAt, expiresAt }) => [
    id,
    nameArgument(session),
    tool,
    shortDuration(now - requestedAt),
    shortDuration(expiresAt - now),
    (title ?? JSON.stringify(input)).slice(0, LONGEST_INPUT),
  ]);
  print(options.json, pending, () => (rows.length === 0 ? "" : table(COLUMNS, rows, outputWidth())));
  if (rows.length === 0) tell(options.json, "No permission request waits.");
}
