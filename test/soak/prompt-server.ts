import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

/* An MCP server with a prompt and a resource. */

const server = new McpServer({ name: "docs", version: "1.0.0" });
server.registerResource("one", "doc://one", { title: "One" }, (uri) => ({
  contents: [{ uri: uri.href, text: "a resource that was not asked for" }],
}));
server.registerPrompt("ask", { title: "Ask", argsSchema: { who: z.string() } }, ({ who }) => ({
  messages: [{ role: "user", content: { type: "text", text: `A prompt for ${who}` } }],
}));
await server.connect(new StdioServerTransport());
