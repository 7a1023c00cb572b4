import type { McpSdkServerConfigWithInstance } from "@anthropic-ai/claude-agent-sdk";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, type CallToolResult, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { session } from "../../castellan.ts";
import type { Json } from "../../journal/model/session-entry.ts";
import { nameKey, type SessionName } from "../../names.ts";
import { CLIENT_TOOLS, resultIn } from "./client-tools.ts";
import { storedIn } from "./stored-session.ts";

/**
 * Makes the MCP server with the custom tools that clients of the Managed Agents API give to a session, when they create it or
 * later. It is an option of the session: `mcpServers: { client: clientTools(name) }`, with that key, and the session needs `approvals`.
 *
 * When Claude calls such a tool, the session asks for a permission, and the client answers with `user.custom_tool_result`. So a
 * call waits as long as an approval: until its `timeout`, and no longer than its turn.
 *
 * @param name the name of the session. Each session needs a server of its own
 * @example
 * template("support", (id: string) => ({ approvals: true, mcpServers: { client: clientTools(["support", id]) } }));
 */
export function clientTools(name: SessionName): McpSdkServerConfigWithInstance {
  const instance = new McpServer(
    { name: CLIENT_TOOLS, version: "1.0.0" },
    { capabilities: { tools: { listChanged: true } } },
  );
  instance.server.setRequestHandler(ListToolsRequestSchema, () => {
    const { tools = [] } = storedIn(session(name).status().metadata);
    return {
      tools: tools.map((tool) => ({
        name: tool.name,
        description: tool.description,
        inputSchema: { ...tool.input_schema, type: "object" as const },
        // Otherwise the model learns of the tool only when it searches for one.
        _meta: { "anthropic/alwaysLoad": true },
      })),
    };
  });
  instance.server.setRequestHandler(CallToolRequestSchema, ({ params }): CallToolResult => {
    const given = resultIn(params.arguments as Json | undefined);
    if (given === undefined) return UNANSWERED;
    const blocks = Array.isArray(given.content) ? given.content : [given.content];
    return { content: blocks.map(toolContent), isError: given.is_error };
  });
  servers.set(nameKey(name), new WeakRef(instance));
  forgotten.register(instance, nameKey(name));
  return { type: "sdk", name: CLIENT_TOOLS, instance };
}

/** The servers of the sessions in memory, by name. */
const servers = new Map<string, WeakRef<McpServer>>();

const forgotten = new FinalizationRegistry<string>((key) => {
  if (servers.get(key)?.deref() === undefined) servers.delete(key);
});

/** Tells Claude Code that the tools of a session have changed, if the session has a process. */
export function toolsChanged(name: SessionName): void {
  const server = servers.get(nameKey(name))?.deref();
  if (server?.isConnected() === true) server.sendToolListChanged();
}

const UNANSWERED: CallToolResult = {
  isError: true,
  content: [
    {
      type: "text",
      text: "No client was asked for the result of this tool, because the session lets it run without a permission.",
    },
  ],
};

/** Returns a block of a result for Claude Code. MCP has no documents, and no links to images. */
function toolContent(block: Json): CallToolResult["content"][number] {
  if (typeof block === "object" && block !== null && !Array.isArray(block) && "type" in block) {
    const { type, text, source } = block as { readonly [field: string]: Json };
    if (type === "text" && typeof text === "string") return { type: "text", text };
    if (type === "image" && isBase64(source)) return { type: "image", data: source.data, mimeType: source.media_type };
  }
  return { type: "text", text: JSON.stringify(block) };
}

interface Base64 {
  readonly media_type: string;
  readonly data: string;
}

function isBase64(source: Json | undefined): source is Json & Base64 {
  if (typeof source !== "object" || source === null || Array.isArray(source)) return false;
  const { type, data, media_type } = source as { readonly [field: string]: Json };
  return type === "base64" && typeof data === "string" && typeof media_type === "string";
}
