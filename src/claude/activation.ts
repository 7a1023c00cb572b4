import type { Query } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import type { ExitClass, ExitRecord } from "../errors.ts";
import type { McpServer } from "./mcp-servers.ts";
import type { EndingStages } from "./process.ts";
import type { RunRequest } from "./process-run.ts";
import type { Rewound } from "./rewind.ts";
import type { StandingPermissions } from "./standing-permissions.ts";

/** How long a control request may take, in milliseconds. The SDK sets no limit. */
export const REQUEST_MS = 10_000;

/** The control requests that sessions make of a process. Names and shapes are the SDK's. */
export type ProcessRequests = Pick<
  Query,
  | "accountInfo"
  | "getContextUsage"
  | "mcpServerStatus"
  | "reconnectMcpServer"
  | "rewindFiles"
  | "setMcpServers"
  | "setModel"
  | "setPermissionMode"
  | "stopTask"
  | "supportedAgents"
  | "supportedCommands"
  | "supportedModels"
  | "toggleMcpServer"
>;

/**
 * A live process of an agent whose handshake is done: what a session needs of it, and nothing of names, mailboxes or restarts. This is
 * the seam between sessions and Claude Code. `ClaudeActivation` is behind it; what a session reads of messages is in `messages/`.
 */
export interface Activation {
  readonly pid: number | undefined;
  /** When the handshake was done, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Resolves once, when the process is gone and its last message has been delivered. */
  readonly exited: Promise<ExitRecord>;
  /** Identifies the process and all its descendants in their environment. */
  readonly marker: string;
  /** A digest of the credentials that the process uses. */
  readonly credentials: string;
  /** The release of Claude Code, as the process tells it. */
  readonly release?: string | undefined;
  /** Whether the process is being ended, or is gone. It takes nothing more. */
  readonly ending: boolean;
  /** How many callbacks of the application the process waits for. */
  readonly hostCalls: number;

  /**
   * Sends a prompt to the process.
   *
   * @param uuid the id of the prompt in the transcript, and in the messages that answer it
   * @param prompt a text, or content blocks of the Messages API
   * @param verbatim whether to send the text as it is; otherwise Claude Code attaches files that it names, and runs
   * commands
   */
  send(uuid: string, prompt: string | readonly object[], verbatim: boolean): void;

  /**
   * Sends a message to the turn of the process: the model gets it together with the next results of tools. After the turn
   * it begins another one. The text is sent as it is.
   *
   * @param uuid the id of the message, as of a prompt
   */
  steer(uuid: string, text: string): void;

  /** Asks the process to stop its turn. The turn's result follows as a message. @throws CastellanError as `request` */
  interrupt(): Promise<void>;

  /** Withdraws a prompt that the process has not begun. Resolves with `false` if it has begun, or does not answer. */
  withdraw(uuid: string): Promise<boolean>;

  /** Removes a prompt, and everything after it, from the memory of the process. */
  rewind(uuid: string): Promise<Rewound>;

  /**
   * Makes a control request.
   *
   * @throws CastellanError `CONTROL_TIMEOUT` after ten seconds; `CONTROL_FAILED` if the process refuses or dies
   */
  request<Name extends keyof ProcessRequests>(
    name: Name,
    ...args: Parameters<ProcessRequests[Name]>
  ): Promise<Awaited<ReturnType<ProcessRequests[Name]>>>;

  /**
   * Replaces the rules and directories that the process received besides its options.
   *
   * @throws CastellanError as `request`
   */
  permit(standing: StandingPermissions): Promise<void>;

  /** Asks for a sign of life, which costs no tokens. @throws CastellanError as `request`, after `limitMs` */
  ping(limitMs: number): Promise<void>;

  /** Returns the MCP servers of the process and their status. @throws CastellanError as `request` */
  mcpServers(): Promise<McpServer[]>;

  /** Records that the process switched to another conversation. Kills the process if another session has that one. */
  moved(conversationId: string): Promise<void>;

  /** Ends the process, with an exit of class `done`. Resolves once it is gone. */
  end(stages: EndingStages): Promise<ExitRecord>;

  /** Kills the process because of a fault that it does not report itself. The exit has this class and message. */
  kill(found: { readonly class: ExitClass; readonly message: string }): Promise<ExitRecord>;
}

/**
 * Starts a process and waits for its handshake.
 *
 * @throws CastellanError `CLAUDE_NOT_FOUND` or `START_FAILED`, with the exit and its class in `details`. No process is left behind.
 */
export type StartActivation = (request: RunRequest, clock: Clock) => Promise<Activation>;
