import type { Command } from "commander";
import { printable } from "../../printable.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { confirm } from "../terminal/confirm.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

interface RmOptions extends ServerOptions {
  readonly yes?: boolean;
  readonly erase?: boolean;
}

/** The command `rm`. */
export function rmCommand(): Command {
  return sessionCommand("rm", "end a session and forget its conversations; only the spending is kept", [
    "castellan rm support/42",
    "castellan rm support/42 --erase --yes   # also turns, approvals and files, wherever they are",
  ])
    .addArgument(sessionArgument())
    .option("-y, --yes", "do not ask")
    .option("--erase", "erase everything known of the session")
    .action(rm);
}

async function rm(name: NameArgument, options: RmOptions): Promise<void> {
  const { json, yes, erase } = options;
  const shown = nameArgument(name);
  const session = (await clientFor(options)).session(name);
  if (!yes) await confirm(`Forget the conversations of ${shown}? This cannot be undone.`);
  if (!erase) {
    await session.delete();
    return print(json, { deleted: name }, () => `${shown} is deleted`);
  }
  const report = await session.erase();
  print(json, report, () => {
    const left = report.left.map(({ what, where, why }) => printable(`left: ${what} at ${where}: ${why}`));
    return [`${shown} is erased: ${report.turns} turns, ${report.files} files`, ...left].join("\n");
  });
}
