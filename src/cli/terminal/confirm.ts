import { createInterface } from "node:readline/promises";
import { CliError } from "./cli-error.ts";

/**
 * Asks on the terminal whether to go on.
 *
 * @throws CliError `NOT_CONFIRMED` if the answer is no, or if there is no terminal to ask on
 */
export async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliError("NOT_CONFIRMED", "This cannot be undone. Confirm it with --yes.");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    if (!/^y(?:es)?$/i.test(answer.trim())) throw new CliError("NOT_CONFIRMED", "Nothing has changed.");
  } finally {
    terminal.close();
  }
}
