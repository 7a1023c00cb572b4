import type { Command } from "commander";
import type { FoundState, GlobalSessionInfo, SessionInfo } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { addLabel } from "../terminal/label-argument.ts";
import { nameArgument, parseLocalName } from "../terminal/name-argument.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { globalSessionTable, sessionTable } from "../terminal/session-table.ts";

interface ListOptions<State> extends ServerOptions {
  /** The server refuses one that it does not know. */
  readonly state?: State;
  readonly prefix?: ReturnType<typeof parseLocalName>;
  readonly label?: Record<string, string>;
  readonly quiet?: boolean;
}

type PsOptions =
  | (ListOptions<FoundState> & { readonly global?: false })
  | (ListOptions<GlobalSessionInfo["state"]> & { readonly global: true });

/** The command `ps`. */
export function psCommand(): Command {
  return sessionCommand("ps", "list the sessions", [
    "castellan ps",
    "castellan ps --state busy --prefix support",
    "castellan ps --label user=ann --json | jq -r '.[].name'",
    "castellan ps --global --state owned",
  ])
    .option("--state <state>", "only sessions in this state, such as busy, stored or archived; with --global, or owned")
    .option("--prefix <name>", "only sessions whose names begin so", parseLocalName)
    .option("--label <name=value...>", "only sessions with these labels", addLabel)
    .option("--global", "the global sessions of the cluster")
    .option("-q, --quiet", "print only the names")
    .action(ps);
}

async function ps(options: PsOptions): Promise<void> {
  const { json, prefix, label: labels } = options;
  const client = await clientFor(options);
  const query = { prefix, labels, limit: 1_000 };
  if (options.global) {
    const sessions = await Array.fromAsync(client.globalSessions({ ...query, state: options.state }));
    show(options, sessions, () => globalSessionTable(sessions, outputWidth()));
  } else {
    const sessions = await Array.fromAsync(client.sessions({ ...query, state: options.state }));
    show(options, sessions, () => sessionTable(sessions, Date.now(), outputWidth()));
  }

  function show(
    { quiet }: PsOptions,
    sessions: readonly Pick<SessionInfo | GlobalSessionInfo, "name">[],
    table: () => string,
  ): void {
    if (sessions.length === 0) tell(json, "There are no such sessions.");
    const names = sessions.map(({ name }) => name);
    if (quiet) print(json, names, () => names.map(nameArgument).join("\n"));
    else print(json, sessions, () => (sessions.length === 0 ? "" : table()));
  }
}
