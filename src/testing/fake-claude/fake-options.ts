import type { FakeProcess } from "./fake-turn.ts";

/** The status of an MCP server, as Claude Code reports it. */
export interface FakeMcpServer {
  readonly status: "connected" | "failed" | "needs-auth" | "pending" | "disabled";
  /** The error message that the server reports. */
  readonly error?: string;
}

/** Options of a fake Claude. */
export interface FakeClaudeOptions {
  /**
   * Called for each process at its start, before it reads its input; `n` counts from 1. The handshake waits for the promise, which can
   * delay a start or block it for ever. `process.crash()` and `process.failStart()` end the process here.
   *
   * @example startup: (process, n) => { if (n === 2) process.crash({ code: 1, stderr: "out of luck" }); }
   */
  readonly startup?: (process: FakeProcess, n: number) => void | Promise<void>;
  /**
   * The names of further commands and skills besides `clear` and `compact`, see `command()`. The script receives their prompts.
   * Default: none.
   */
  readonly commands?: readonly string[];
  /**
   * Returns the status of an MCP server that Claude Code runs or connects to, by its name in `mcpServers`. Called for each status request.
   * In-process servers are always connected. Default: connected, without tools.
   *
   * @example mcpServer: (name) => (name === "db" ? { status: "failed", error: "Connection closed" } : undefined)
   */
  readonly mcpServer?: (name: string) => FakeMcpServer | undefined;
  /** The version of Claude Code that the processes report. Default: the version whose messages they send. */
  readonly version?: string;
  /** The cost of each turn, in US dollars. Default: 0.01. */
  readonly costPerTurnUsd?: number;
  /** Whether interrupts are acknowledged but have no effect. Default: `false`. */
  readonly ignoreInterrupt?: boolean;
  /** Whether processes ignore `SIGTERM`. Default: `false`. */
  readonly ignoreSigterm?: boolean;
  /**
   * How a request to forget a prompt ends: it succeeds, is rejected as by a release that does not support it, or is never answered.
   * Default: `"done"`.
   */
  readonly rewind?: "done" | "refused" | "hangs";
  /**
   * The reaction to the end of input: `"exit"` finishes the turn and exits, `"ignore"` keeps running, as the real process does during a
   * background task. Default: `"exit"`.
   */
  readonly endOfInput?: "exit" | "ignore";
}
