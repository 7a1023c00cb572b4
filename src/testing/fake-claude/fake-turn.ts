import type { HookEvent, PermissionResult, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeExit } from "./fake-child.ts";
import type { FakeEntry } from "./fake-conversation.ts";

import type { FakeResult } from "./fake-result.ts";
import type { WireObject } from "./fake-wire.ts";

/**
 * The behaviour of a fake Claude in a turn. When the script returns, the turn succeeds with its last text as the result. When it throws,
 * the process crashes and `fake.errors` keeps the error.
 */
export type FakeScript = (turn: FakeTurn) => void | Promise<void>;

/** A process of a fake Claude, running or ended. */
export interface FakeProcess {
  /** Unique in this fake, and far above real process ids, so that a mistaken `process.kill` hits no process. */
  readonly pid: number;
  /** The command line that the SDK built. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Claude's id of the conversation; `/clear` changes it. */
  readonly sessionId: string;
  /** The id of the conversation that the process resumed, if any. */
  readonly resumedFrom: string | undefined;
  /** The texts of all received user messages, in order. */
  readonly prompts: readonly string[];
  readonly model: string;
  readonly permissionMode: string;
  /** The received signals, in order. */
  readonly signals: readonly NodeJS.Signals[];
  readonly state: "running" | "exited";
  readonly exit: FakeExit | undefined;
  /** The payload of the SDK's `initialize` request: hooks, MCP servers, agents, system prompt. `undefined` before it arrives. */
  readonly initialize: WireObject | undefined;
  /** Resolves when the process has ended. Never rejects. */
  readonly exited: Promise<FakeExit>;
  /** Sends a signal to the process. `SIGSTOP` and `SIGCONT` freeze and thaw it. */
  kill(signal?: NodeJS.Signals): void;
  /**
   * Begins an unprompted turn, like the real process at the end of a background task or when a schedule is due. It runs after the running
   * turn, before queued prompts.
   *
   * @param origin what triggers the turn. Default `"task"`
   */
  beginTurn(script: FakeScript, origin?: "task" | "schedule"): void;
  /** Crashes the process at once. */
  crash(how?: FakeCrash): void;
  /** Fails the start, like the real process: a line on standard error, an error result, exit code 1. */
  failStart(message: string, reason?: string): void;
  /** Stops the process: it reads and writes nothing, and reacts only to `SIGKILL`. */
  freeze(): void;
  /** Continues the process after `freeze()`. */
  thaw(): void;
  /** Writes raw data to standard output, without a line feed. */
  write(raw: string | Buffer): void;
}

/** The end of a crashed fake process. Set a code or a signal. */
export interface FakeCrash {
  /** Exit code. Default: 1, if no signal is given. */
  readonly code?: number;
  /** The signal that killed it, such as `"SIGKILL"`. */
  readonly signal?: NodeJS.Signals;
  /** The text on standard error before the end. Default: none. */
  readonly stderr?: string;
}

/** How a text is streamed. */
export interface FakeTextOptions {
  /**
   * `true`: in pieces of about 20 characters; a number: in that many pieces; `false`: in one message. The fake sends pieces only to a
   * session with `includePartialMessages`. Default: `true`.
   */
  readonly partials?: boolean | number;
}

/** The outcome of a simulated tool use. */
export interface FakeToolOutcome {
  /** Default: an empty string. */
  readonly result?: string;
  /** Default: `false`. */
  readonly isError?: boolean;
  /**
   * Whether the tool needs permission: from the permission mode, from rules that match a tool's name or a Bash command, from a
   * `PermissionRequest` hook, or from the session's `canUseTool`. Without any of them the tool is denied. Default: `false`.
   */
  readonly ask?: boolean;
  /** Whether the tool runs until an interrupt or the end of the process. Default: `false`. */
  readonly hang?: boolean;
}

/** An error of the API. */
export interface FakeApiError {
  /** The HTTP status, such as 401, 429, 500 or 529. `undefined` for an unreachable API. */
  readonly status?: number;
  /** The API's message. Default: one that matches the status. */
  readonly message?: string;
  /** The SDK's name of the error. Default: the name for the status, such as `"rate_limit"` for 429. */
  readonly error?: string;
  /** The text that Claude Code sends. Default: that of the real process. */
  readonly text?: string;
  /** The number of preceding `api_retry` messages, without delay between them. Default: 0. */
  readonly retries?: number;
}

/**
 * A turn as its script sees it. Methods that write wait while the reader is behind; await them. After the end of the turn (an interrupt, a
 * `result`, a dead process) they reject, which ends the script. Only `emit` and `raw` then still work, while the process lives.
 */
export interface FakeTurn {
  /** The text of the user message; `message` has its content blocks. Several queued messages are joined, one per line. */
  readonly prompt: string;
  /**
   * Whether the prompt is literal text. In any other prompt, the real Claude Code includes the files that it mentions and runs the command
   * that it begins with. The fake leaves that to the script, except for `/clear` and `/compact`.
   */
  readonly verbatim: boolean;
  /** The last user message of the turn, as sent. */
  readonly message: SDKUserMessage;
  /** The texts of user messages that arrived during a tool use. They join this turn after the tool, without a result of their own. */
  readonly joined: readonly string[];
  /** The index of the turn among all turns of this fake, from 0. */
  readonly index: number;
  readonly process: FakeProcess;
  /** The conversation before this turn. */
  readonly history: readonly FakeEntry[];
  /** Aborts when the turn is interrupted or its process ends. */
  readonly signal: AbortSignal;

  /** Sends a text, which completes the pieces of `partial`. */
  text(text: string, options?: FakeTextOptions): Promise<void>;
  /** Sends a piece of an unfinished text. The next `text`, tool use or result completes it. */
  partial(text: string): Promise<void>;
  /** Sends thinking. */
  thinking(text: string): Promise<void>;
  /**
   * Simulates a tool use: sends it, calls the session's real `PreToolUse` and `PostToolUse` hooks, sends the result. A denial by a hook or
   * by `canUseTool` makes the result an error. `EnterPlanMode` and `ExitPlanMode` change the permission mode. Returns the id of the tool
   * use.
   */
  toolUse(name: string, input: WireObject, outcome?: FakeToolOutcome): Promise<string>;
  /** Runs a tool of an in-process MCP server of the session, with hooks as in `toolUse`. Returns the tool's result. */
  callTool(server: string, tool: string, args: WireObject): Promise<WireObject>;
  /** Calls the session's hooks for an event and returns their results. For tool events, `input.tool_name` selects hooks by matcher. */
  hook(event: HookEvent, input?: WireObject): Promise<WireObject[]>;
  /** Calls the session's `canUseTool` and returns its decision. Rejects if the session has none. */
  askPermission(toolName: string, input: WireObject): Promise<PermissionResult>;
  /** Sends any SDK message. Adds a missing `session_id` and `uuid`. */
  emit(message: SDKMessage | WireObject): Promise<void>;
  /** Writes raw data to standard output. Adds a line feed to a string. */
  raw(data: string | Buffer): Promise<void>;
  /** Ends the turn now. */
  result(result?: FakeResult): Promise<void>;
  /** Ends the turn like the real Claude Code after an API error that persisted over its retries. */
  fail(error: FakeApiError): Promise<void>;
  /** Crashes the process during the turn. Never resolves; the script ends here. */
  crash(how?: FakeCrash): Promise<never>;
  /** Ends the process with an exit code and without a result. */
  exit(code: number): Promise<never>;
  /** Never resolves; rejects when the turn is interrupted or the process ends. */
  hang(): Promise<never>;
  /** Runs `work` right after the result of this turn, for late messages. Call it before the result. */
  afterResult(work: () => void | Promise<void>): void;
}
