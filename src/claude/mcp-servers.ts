import type { McpServerStatus } from "@anthropic-ai/claude-agent-sdk";
import type { McpTrace } from "./mcp-log.ts";

/** An MCP server of a process at a moment. */
export interface McpServer {
  readonly name: string;
  /**
   * What Claude Code says of it. `ended`: it was connected, and its process or connection is gone, which Claude Code does not say; it
   * starts the server again when one of its tools is called.
   */
  readonly status: McpServerStatus["status"] | "ended";
  /** What went wrong, if something did, with the last that the server said if that is known. */
  readonly reason?: string;
}

/** A server by what Claude Code says of it, and what it has written down of it. */
export function mcpServerOf({ name, status, error }: McpServerStatus, trace: McpTrace | undefined): McpServer {
  const words = trace?.words === undefined ? "" : `; its last words: ${trace.words}`;
  switch (status) {
    case "failed":
      return { name, status, reason: `it is not connected: ${error ?? "no reason given"}${words}` };
    case "needs-auth":
      return { name, status, reason: "it is not connected: it asks for an authentication" };
    case "connected":
      return trace?.ended === undefined
        ? { name, status }
        : { name, status: "ended", reason: endOf(trace.ended, words) };
    default:
      return { name, status };
  }
}

function endOf(how: string, words: string): string {
  return `it has ended, and is started again when one of its tools is called: ${how}${words}`;
}
