import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** The contents of the `init` message, with which Claude Code begins each turn. */
export interface Init {
  readonly conversationId: string;
  /** The names of the MCP servers that the process knows. */
  readonly servers: readonly string[];
}

/** Returns what `message` tells if it is an `init` message. */
export function initOf(message: SDKMessage): Init | undefined {
  if (message.type !== "system" || message.subtype !== "init") return undefined;
  // The form check lets messages without a list pass.
  const { session_id: conversationId, mcp_servers: servers = [] } = message;
  return { conversationId, servers: servers.map(({ name }) => name) };
}
