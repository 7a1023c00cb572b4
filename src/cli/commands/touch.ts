import type { Command } from "commander";
import type { TouchAnswer } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

const TEXTS: Readonly<Record<TouchAnswer["touched"], string>> = {
  ready: "has its process",
  starting: "is starting its process",
  full: "starts no process: all that may run are busy",
  archived: "starts no process: it is archived",
};

/** The command `touch`. */
export function touchCommand(): Command {
  return sessionCommand("touch", "begin to start a session's process ahead of its next turn", [
    "castellan touch support/42",
  ])
    .addArgument(sessionArgument())
    .action(async (name: NameArgument, options: ServerOptions) => {
      const answer = await (await clientFor(options)).session(name).touch();
      print(options.json, answer, () => `${nameArgument(name)} ${TEXTS[answer.touched]}`);
    });
}
