import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

/** The command `interrupt`. */
export function interruptCommand(): Command {
  return sessionCommand("interrupt", "stop the running turn; waiting turns go on", ["castellan interrupt support/42"])
    .addArgument(sessionArgument())
    .action(async (name: NameArgument, options: ServerOptions) => {
      const session = await (await clientFor(options)).session(name).interrupt();
      print(options.json, session, () => `${nameArgument(name)} is ${session.state}`);
    });
}
