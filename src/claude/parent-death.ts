import { execFile } from "node:child_process";
import { passes } from "./passing-fault.ts";

/** A command to put before another one, so that it gets SIGTERM when the process that started it dies. */
export type CommandPrefix = readonly string[];

let found: Promise<CommandPrefix> | undefined;

/**
 * The prefix for this platform; empty where there is none. Looked for once in the life of the host, unless that could not be done.
 *
 * Linux has the parent-death signal, and util-linux 2.33 or newer has `setpriv --pdeathsig` to ask for it. The command
 * replaces itself with the one it starts, so the process id stays the same.
 */
export function parentDeathPrefix(): Promise<CommandPrefix> {
  found ??= find();
  return found;
}

function find(): Promise<CommandPrefix> {
  if (process.platform !== "linux") return Promise.resolve([]);
  const prefix = ["setpriv", "--pdeathsig", "TERM", "--"] as const;
  const [command, ...parameters] = prefix;
  return new Promise((resolve) => {
    execFile(command, [...parameters, "true"], (error) => {
      if (passes(error)) found = undefined;
      resolve(error === null ? prefix : []);
    });
  });
}
