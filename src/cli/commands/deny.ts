import type { Command } from "commander";
import { findApproval } from "../connection/find-approval.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outcomeLine } from "../terminal/outcome-line.ts";
import { print } from "../terminal/output.ts";

/** The command `deny`. */
export function denyCommand(): Command {
  return sessionCommand("deny", "refuse a tool that waits for permission", [
    "castellan deny 5f2c",
    'castellan deny 5f2c --message "Use the staging database."',
  ])
    .argument("<id>", "the id of the approval, or its beginning; see `castellan approvals`")
    .option("-m, --message <text>", "what Claude is told")
    .action(deny);
}

async function deny(id: string, options: ServerOptions & { readonly message?: string }): Promise<void> {
  const client = await clientFor(options);
  const { session, tool, id: whole } = await findApproval(client, id);
  const settled = await client.session(session).deny(whole, options.message);
  print(options.json, settled, () => outcomeLine(settled, nameArgument(session), tool));
}
