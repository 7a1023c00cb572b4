import { createRequire } from "node:module";
import { Readable, Writable } from "node:stream";
import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { sessionArgument } from "../terminal/session-argument.ts";

const HELP = `
The command speaks the Agent Client Protocol on its input and output until the input ends. Each conversation in the editor is the named
session: it keeps its own folder, tools and MCP servers. Its permission requests appear in the editor. The token needs the scopes read and
talk, and approve to answer permission requests.`;

/** The command `acp`. */
export function acpCommand(): Command {
  return serverCommand("acp", "use a session from an editor that speaks the Agent Client Protocol, such as Zed", [
    "castellan acp support/42",
    "castellan acp assistant --url http://127.0.0.1:8080",
  ])
    .addArgument(sessionArgument())
    .addHelpText("after", HELP)
    .action(acp);
}

async function acp(name: NameArgument, options: ServerOptions): Promise<void> {
  const client = await clientFor(options);
  // Fails now, where the user sees it, if there is no server or no valid token.
  await client.server();
  const [{ acpAgent }, { ndJsonStream }] = await Promise.all([
    import("../acp/acp-agent.ts"),
    import("@agentclientprotocol/sdk"),
  ]);
  const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };
  const input = Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>;
  const stream = ndJsonStream(Writable.toWeb(process.stdout), input);
  const warn = (line: string): void => console.error(line);
  const served = acpAgent({ session: client.session(name), sessionId: nameArgument(name), version, warn });
  await served.connect(stream).closed;
  // Requests of turns that still run would keep the process. The turns continue.
  process.exit();
}
