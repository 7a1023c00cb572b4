import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";

/* An MCP server that survives the end of its input, so that it is left behind. */

const server = new McpServer({ name: "stubborn", version: "1.0.0" });
server.registerTool("noop", { description: "Does nothing" }, () => ({ content: [] }));
await server.connect(new StdioServerTransport());
setInterval(() => {}, 60_000);
