import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

/** The command `hibernate`. */
export function hibernateCommand(): Command {
  return sessionCommand("hibernate", "end the process of an idle session, and keep the session", [
    "castellan hibernate support/42",
  ])
    .addArgument(sessionArgument())
    .action(async (name: NameArgument, options: ServerOptions) => {
      const session = await (await clientFor(options)).session(name).hibernate();
      print(options.json, session, () => `${nameArgument(name)} is ${session.state}`);
    });
}
