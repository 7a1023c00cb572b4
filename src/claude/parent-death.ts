import { execFile } from "node:child_process";
import { isTemporary } from "./passing-fault.ts";

/** A command line prefix that sends the command SIGTERM when the process that started it dies. */
export type CommandPrefix = readonly string[];

let found: Promise<CommandPrefix> | undefined;

/**
 * Returns the prefix for this platform; empty if there is none. Looked up once per host, and again if the lookup
 * failed.
 *
 * Linux has the parent-death signal, and util-linux 2.33 or newer has `setpriv --pdeathsig`, which requests it and then
 * replaces itself with the command, so the pid stays the same.
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
      if (isTemporary(error)) found = undefined;
      resolve(error === null ? prefix : []);
    });
  });
}
