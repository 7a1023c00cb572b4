import type { McpServerStatus } from "@anthropic-ai/claude-agent-sdk";
import type { McpTrace } from "./mcp-log.ts";

/** A snapshot of an MCP server of a process. */
export interface McpServer {
  readonly name: string;
  /**
   * The status that Claude Code reports. `ended`: the server was connected, and its process or connection is gone.
   * Claude Code does not report that; it restarts the server when one of its tools is called.
   */
  readonly status: McpServerStatus["status"] | "ended";
  /** What went wrong, if anything, with the server's last output if known. */
  readonly reason?: string;
}

/** Combines Claude Code's report of a server with its log. */
export function mcpServerOf({ name, status, error }: McpServerStatus, trace: McpTrace | undefined): McpServer {
  const words = trace?.words === undefined ? "" : `; its last output: ${trace.words}`;
  switch (status) {
    case "failed":
      return { name, status, reason: `it is not connected: ${error ?? "no reason given"}${words}` };
    case "needs-auth":
      return { name, status, reason: "it is not connected: it requires authentication" };
    case "connected":
      return trace?.ended === undefined
        ? { name, status }
        : { name, status: "ended", reason: endOf(trace.ended, words) };
    default:
      return { name, status };
  }
}

function endOf(how: string, words: string): string {
  return `it has exited, and restarts when one of its tools is called: ${how}${words}`;
}
