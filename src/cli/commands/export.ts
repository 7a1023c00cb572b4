import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import type { NameArgument } from "../terminal/name-argument.ts";
import { tell } from "../terminal/output.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

interface ExportOptions extends ServerOptions {
  readonly output?: string;
}

/** The command `export`. */
export function exportCommand(): Command {
  return sessionCommand("export", "write everything known of a session, as lines of JSON", [
    "castellan export support/42 > export.jsonl",
    "castellan export support/42 --output export.jsonl",
  ])
    .addArgument(sessionArgument())
    .option("-o, --output <file>", "write to this file, which must not exist, readable only by its owner")
    .action(exportSession);
}

async function exportSession(name: NameArgument, options: ExportOptions): Promise<void> {
  const { json, output } = options;
  let count = 0;
  const lines = (await clientFor(options)).session(name).export();
  async function* counted(): AsyncGenerator<string, void, undefined> {
    for await (const line of lines) {
      count++;
      yield `${line}\n`;
    }
  }
  if (output === undefined) {
    await pipeline(Readable.from(counted()), process.stdout, { end: false });
  } else {
    await pipeline(Readable.from(counted()), createWriteStream(output, { flags: "wx", mode: 0o600 }));
    tell(json, `Wrote ${count} lines to ${output}.`);
  }
}
