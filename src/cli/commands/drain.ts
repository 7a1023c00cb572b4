import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { print, tell } from "../terminal/output.ts";

/** The command `drain`. */
export function drainCommand(): Command {
  return serverCommand("drain", "let running turns finish, and stop the supervisor, or its node of a cluster", [
    "castellan drain",
    "castellan drain --deadline 5m",
  ])
    .option("--deadline <duration>", "how long turns may take", "30s")
    .action(drain);
}

async function drain(options: ServerOptions & { readonly deadline: string }): Promise<void> {
  const client = await clientFor(options);
  tell(options.json, `Waits for running turns, ${options.deadline} at most.`);
  const report = await client.drain({ deadline: options.deadline });
  print(options.json, report, () =>
    report.completed ? "drained" : "stopped at the deadline; some turns were interrupted",
  );
}
