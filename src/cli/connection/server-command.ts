import { Command } from "commander";
import type { CastellanClient } from "../../client/index.ts";

/** The options of every command that asks a server. */
export interface ServerOptions {
  readonly url?: string;
  readonly json?: boolean;
}

const ENVIRONMENT = `
The server is that of --url, else of CASTELLAN_URL, else the one that runs in this folder or above. CASTELLAN_TOKEN is the token.`;

/** Makes a command that asks a server. `examples` are lines of a shell, with comments. */
export function serverCommand(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return new Command(name)
    .description(description)
    .option("--url <url>", "the server: http://host:port or unix:/path")
    .option("--json", "print JSON")
    .addHelpText("after", [ENVIRONMENT, "", "Examples:", ...lines].join("\n"));
}

/** Makes the client for a command. @throws CliError `NO_SERVER` */
export async function clientFor({ url }: ServerOptions): Promise<CastellanClient> {
  const { findServer } = await import("./find-server.ts");
  return await findServer({ url, env: process.env, cwd: process.cwd() });
}
