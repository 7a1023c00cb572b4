import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

/** The command `restart`. */
export function restartCommand(): Command {
  return sessionCommand(
    "restart",
    "end the process, even during a turn, and start another one; also ends a quarantine",
    ["castellan restart support/42", "castellan restart support/42 --clear"],
  )
    .addArgument(sessionArgument())
    .option("--clear", "begin an empty conversation")
    .action(async (name: NameArgument, options: ServerOptions & { readonly clear?: boolean }) => {
      const conversation = options.clear ? "clear" : "keep";
      const session = await (await clientFor(options)).session(name).restart({ conversation });
      print(options.json, session, () => `${nameArgument(name)} is ${session.state}`);
    });
}
