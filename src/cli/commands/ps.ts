import type { Command } from "commander";
import type { FoundState, SessionInfo } from "../../client/index.ts";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { addLabel } from "../terminal/label-argument.ts";
import { nameArgument, parseLocalName } from "../terminal/name-argument.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { sessionTable } from "../terminal/session-table.ts";

interface PsOptions extends ServerOptions {
  readonly state?: FoundState;
  readonly prefix?: ReturnType<typeof parseLocalName>;
  readonly label?: Record<string, string>;
  readonly global?: boolean;
  readonly quiet?: boolean;
}

/** The command `ps`. */
export function psCommand(): Command {
  return serverCommand("ps", "list the sessions", [
    "castellan ps",
    "castellan ps --state busy --prefix support",
    "castellan ps --label user=ann --json | jq -r '.[].name'",
  ])
    .option("--state <state>", "only sessions in this state, such as busy, stored or archived")
    .option("--prefix <name>", "only sessions whose names begin so", parseLocalName)
    .option("--label <name=value...>", "only sessions with these labels", addLabel)
    .option("--global", "the global sessions of the cluster")
    .option("-q, --quiet", "print only the names")
    .action(ps);
}

async function ps(options: PsOptions): Promise<void> {
  const { json, quiet, state, prefix, label: labels, global } = options;
  const client = await clientFor(options);
  if (global) {
    const sessions = await client.globalSessions({ prefix });
    return print(json, sessions, () => sessions.map(({ name }) => nameArgument(name)).join("\n"));
  }
  const sessions: SessionInfo[] = await Array.fromAsync(client.sessions({ state, prefix, labels, limit: 1_000 }));
  if (quiet)
    return print(
      json,
      sessions.map(({ name }) => name),
      () => sessions.map(({ name }) => nameArgument(name)).join("\n"),
    );
  print(json, sessions, () => (sessions.length === 0 ? "" : sessionTable(sessions, Date.now(), outputWidth())));
  if (sessions.length === 0) tell(json, "There are no such sessions.");
}
