import type { Command } from "commander";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";

const HELP = `
The command serves MCP on its input and output until the input ends. The scopes of the token decide the tools: ask needs talk and read; list
and status need read; approve and deny need approve. A client of HTTP needs no command: the server has the same tools at /mcp.`;

/** The command `mcp`. */
export function mcpCommand(): Command {
  return serverCommand("mcp", "give an MCP client, such as Claude Code, tools to ask and watch sessions, over stdio", [
    "claude mcp add castellan -- castellan mcp",
    "claude mcp add castellan -- castellan mcp --url http://127.0.0.1:8080",
  ])
    .addHelpText("after", HELP)
    .action(mcp);
}

async function mcp(options: ServerOptions): Promise<void> {
  const client = await clientFor(options);
  // Fails now, where the user sees it, if there is no server or no valid token.
  const { caller } = await client.server();
  const [{ mcpServer }, { StdioServerTransport }, { systemClock }] = await Promise.all([
    import("../../server/adapters/mcp-tools.ts"),
    import("@modelcontextprotocol/sdk/server/stdio.js"),
    import("../../clock.ts"),
  ]);
  const server = mcpServer({ port: client, scopes: caller.scopes, clock: systemClock });
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  process.stdin.once("end", resolve);
  server.server.onclose = resolve;
  await server.connect(new StdioServerTransport());
  await ended;
  // Cancels the waits, which would keep the process. The turns continue.
  await server.close();
}
