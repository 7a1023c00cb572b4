import { Command, Option } from "commander";
import type { CastellanClient } from "../../client/index.ts";

/** The options of every command that asks a server. */
export interface ServerOptions {
  readonly url?: string;
  readonly cluster?: string;
  readonly json?: boolean;
}

const ENVIRONMENT = `
The server is that of --url, else of CASTELLAN_URL, else the one that runs in this folder or above. CASTELLAN_TOKEN is the token.`;

/** What to close once the command is done. */
const open: (() => Promise<void>)[] = [];

/** Closes a connection once the command is done: it would keep the process. */
function endWith(close: () => Promise<void>): void {
  open.push(close);
}

/** Closes what the command has opened. */
export async function closeConnections(): Promise<void> {
  await Promise.all(open.splice(0).map((close) => close()));
}

/** Makes a command that asks a server. `examples` are lines of a shell, with comments. */
export function serverCommand(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return new Command(name)
    .description(description)
    .option("--url <url>", "the server: http://host:port or unix:/path")
    .option("--json", "print JSON")
    .addHelpText("after", [ENVIRONMENT, "", "Examples:", ...lines].join("\n"));
}

/** As {@link serverCommand}, for a command on sessions, which may be those of a cluster. */
export function sessionCommand(name: string, description: string, examples: readonly string[]): Command {
  const text = "the config file of a cluster's node, to ask its nodes about global sessions without a server";
  // A cluster has no other sessions to list.
  const cluster = new Option("--cluster <config>", text).conflicts("url").implies({ global: true });
  return serverCommand(name, description, examples).addOption(cluster);
}

/** Makes the client for a command. @throws CliError `NO_SERVER` */
export async function clientFor({ url, cluster }: ServerOptions): Promise<CastellanClient> {
  if (cluster !== undefined) {
    const { clusterClient } = await import("./cluster-client.ts");
    const { client, close } = await clusterClient(cluster, process.cwd());
    endWith(close);
    return client;
  }
  const { findServer } = await import("./find-server.ts");
  return await findServer({ url, env: process.env, cwd: process.cwd() });
}
