import type { FakeProcess } from "./fake-turn.ts";

/** How an MCP server does, as Claude Code tells it. */
export interface FakeMcpServer {
  readonly status: "connected" | "failed" | "needs-auth" | "pending" | "disabled";
  /** What it says went wrong. */
  readonly error?: string;
}

/** How the processes of a fake Claude behave. */
export interface FakeClaudeOptions {
  /**
   * Called for every process as it starts, before it reads anything; `n` counts from 1. The handshake waits for the promise, so that a start
   * can be delayed, or never end. `process.crash()` and `process.failStart()` end it here.
   *
   * @example startup: (process, n) => { if (n === 2) process.crash({ code: 1, stderr: "out of luck" }); }
   */
  readonly startup?: (process: FakeProcess, n: number) => void | Promise<void>;
  /**
   * The names of commands and skills that the processes know besides `clear` and `compact`, see `command()`. Their prompts are given
   * to the script. Default: none.
   */
  readonly commands?: readonly string[];
  /**
   * How the MCP servers do that Claude Code runs or connects to, as `mcpServers` names them; it is asked anew each time. In-process servers are
   * always connected. Default: connected, without tools.
   *
   * @example mcpServer: (name) => (name === "db" ? { status: "failed", error: "Connection closed" } : undefined)
   */
  readonly mcpServer?: (name: string) => FakeMcpServer | undefined;
  /** The version of Claude Code that the processes say they are. Default: the one whose messages they send. */
  readonly version?: string;
  /** What every turn costs, in US dollars. Default: 0.01. */
  readonly costPerTurnUsd?: number;
  /** Whether an interrupt is acknowledged but changes nothing. Default: `false`. */
  readonly ignoreInterrupt?: boolean;
  /** Whether only `SIGKILL` ends a process. Default: `false`. */
  readonly ignoreSigterm?: boolean;
  /**
   * What becomes of a request to forget a prompt: it is done, refused as by a release that does not know it, or never answered.
   * Default: `"done"`.
   */
  readonly rewind?: "done" | "refused" | "hangs";
  /**
   * What the end of input does: `"exit"` finishes the turn and exits, `"ignore"` stays, as the real process does while a background task
   * runs. Default: `"exit"`.
   */
  readonly endOfInput?: "exit" | "ignore";
}
