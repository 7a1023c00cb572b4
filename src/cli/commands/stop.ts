import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

/** The command `stop`. */
export function stopCommand(): Command {
  return sessionCommand("stop", "end a session and its turns; a later session of the name resumes the conversation", [
    "castellan stop support/42",
  ])
    .addArgument(sessionArgument())
    .action(async (name: NameArgument, options: ServerOptions) => {
      await (await clientFor(options)).session(name).stop();
      print(options.json, { stopped: name }, () => `${nameArgument(name)} is stopped`);
    });
}
