import { CommanderError } from "commander";
import { printable } from "../printable.ts";
import { closeConnections } from "./connection/server-command.ts";
import { createProgram } from "./program.ts";
import { codeOf, exitCodeOf } from "./terminal/exit-code.ts";

/** Runs a command, and sets the exit code by its error. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    // Commander has printed its own.
    if (!(error instanceof CommanderError)) console.error(errorText(error, argv.includes("--json")));
  } finally {
    await closeConnections();
  }
}

function errorText(error: unknown, json: boolean): string {
  const message = error instanceof Error ? error.message : String(error);
  return json
    ? JSON.stringify({ error: { code: codeOf(error) ?? "INTERNAL", message } })
    : printable(`castellan: ${message}`);
}
