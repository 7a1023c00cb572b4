import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/**
 * What of a session's options no other session may use at the same time, with the field it stands in.
 *
 * An in-process MCP server speaks to one process at a time: a second one would find it without tools, and nobody would
 * say so.
 */
export function exclusiveOf(options: SdkOptions): Map<unknown, string> {
  const exclusive = new Map<unknown, string>();
  for (const [name, server] of Object.entries(options.mcpServers ?? {})) {
    if ("instance" in server) exclusive.set(server.instance, `mcpServers.${name}`);
  }
  return exclusive;
}
