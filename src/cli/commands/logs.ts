import { type Command, InvalidArgumentError } from "commander";
import type { SessionEvent } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { eventLines } from "../terminal/event-lines.ts";
import type { NameArgument } from "../terminal/name-argument.ts";
import { print } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

interface LogsOptions extends ServerOptions {
  readonly follow?: boolean;
  readonly lines: number;
  readonly turn?: string;
}

/** The command `logs`. */
export function logsCommand(): Command {
  return sessionCommand("logs", "print what a session saw and did", [
    "castellan logs support/42",
    "castellan logs support/42 --follow",
    "castellan logs support/42 --turn 01J9… --json",
  ])
    .addArgument(sessionArgument())
    .option("-f, --follow", "go on with what happens, until Ctrl-C")
    .option("-n, --lines <count>", "how many of the last events to print", countOf, 100)
    .option("--turn <id>", "only the events of this turn")
    .action(logs);
}

async function logs(name: NameArgument, options: LogsOptions): Promise<void> {
  const { follow, lines, turn, json } = options;
  const session = (await clientFor(options)).session(name);
  // The last event shows where to go on, also if none is to be printed.
  const { events } = await session.pastEvents({ limit: Math.max(1, lines), turn });
  const past = events.toReversed();
  if (lines > 0) for (const event of past) printEvent(event, json);
  if (!follow) return;
  const after = past.at(-1)?.number ?? 0;
  for await (const event of session.events({ after, turn })) printEvent(event, json);
}

function printEvent(event: SessionEvent, json: boolean | undefined): void {
  print(json, event, () => eventLines(event) ?? "");
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0 || count > 1_000) {
    throw new InvalidArgumentError("Expected a number from 0 to 1000.");
  }
  return count;
}
