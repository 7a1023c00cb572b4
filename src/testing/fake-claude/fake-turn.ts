import type { HookEvent, PermissionResult, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeExit } from "./fake-child.ts";
import type { FakeEntry } from "./fake-conversation.ts";

import type { FakeResult } from "./fake-result.ts";
import type { WireObject } from "./fake-wire.ts";

/**
 * What a fake Claude does with a turn. When it returns, the turn ends well, with the last text as its result. When it throws, the process
 * crashes and the error is kept in `fake.errors`.
 */
export type FakeScript = (turn: FakeTurn) => void | Promise<void>;

/** One process that a fake Claude has run, or runs still. */
export interface FakeProcess {
  /** Unique in this fake, and far above the ids of real processes, so that a mistaken `process.kill` finds nobody. */
  readonly pid: number;
  /** The command line, as the SDK built it. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Claude's id of the conversation; `/clear` changes it. */
  readonly sessionId: string;
  /** The conversation it began with, if it did not begin an empty one. */
  readonly resumedFrom: string | undefined;
  /** The texts of all user messages that it was sent, in order. */
  readonly prompts: readonly string[];
  readonly model: string;
  readonly permissionMode: string;
  /** The signals it received, in order. */
  readonly signals: readonly NodeJS.Signals[];
  readonly state: "running" | "exited";
  readonly exit: FakeExit | undefined;
  /** The payload of the SDK's `initialize` request: hooks, MCP servers, agents, system prompt. `undefined` before it arrives. */
  readonly initialize: WireObject | undefined;
  /** Resolves when the process has ended. Never rejects. */
  readonly exited: Promise<FakeExit>;
  /** Sends it a signal, as anybody on the machine could. `SIGSTOP` and `SIGCONT` freeze and thaw it. */
  kill(signal?: NodeJS.Signals): void;
  /**
   * Begins a turn that nobody has asked for, as the real one does when a background task has ended or a schedule is due. It runs as soon
   * as no turn does, before the prompts that wait.
   *
   * @param origin what it begins on. Default `"task"`
   */
  beginTurn(script: FakeScript, origin?: "task" | "schedule"): void;
  /** It dies at once, by itself. */
  crash(how?: FakeCrash): void;
  /** It refuses to begin, as the real one does: a line on standard error, an error result, exit code 1. */
  failStart(message: string, reason?: string): void;
  /** It stops: takes nothing in, gives nothing out, does not react to anything but `SIGKILL`. */
  freeze(): void;
  /** It goes on after `freeze()`. */
  thaw(): void;
  /** Puts raw bytes on its standard output. Nothing is added, not even the line feed. */
  write(raw: string | Buffer): void;
}

/** How a fake process is made to die. Give a code or a signal. */
export interface FakeCrash {
  /** Exit code. Default: 1, if no signal is given. */
  readonly code?: number;
  /** The signal that killed it, such as `"SIGKILL"`. */
  readonly signal?: NodeJS.Signals;
  /** What it says on standard error before. Default: nothing. */
  readonly stderr?: string;
}

/** How a text is streamed. */
export interface FakeTextOptions {
  /**
   * `true`: in pieces of about 20 characters; a number: in that many pieces; `false`: in one message only. Pieces are sent only if the
   * session asked for them (`includePartialMessages`). Default: `true`.
   */
  readonly partials?: boolean | number;
}

/** What a tool is said to have answered. */
export interface FakeToolOutcome {
  /** Default: an empty string. */
  readonly result?: string;
  /** Default: `false`. */
  readonly isError?: boolean;
  /**
   * Whether the tool needs leave: by the permission mode, by rules, which fit by the name of a tool or the command of Bash, by a
   * `PermissionRequest` hook, or by the session's `canUseTool`; without any, the tool is denied. Default: `false`.
   */
  readonly ask?: boolean;
  /** Whether the tool runs until the turn is interrupted or the process ends. Default: `false`. */
  readonly hang?: boolean;
}

/** An answer of the API that is no success. */
export interface FakeApiError {
  /** HTTP status: 401, 429, 500, 529 and so on. Leave it out for an API that could not be reached. */
  readonly status?: number;
  /** What the API said. Default: something that belongs to the status. */
  readonly message?: string;
  /** The SDK's word for it. Default: what belongs to the status, such as `"rate_limit"` for 429. */
  readonly error?: string;
  /** What Claude Code makes of it. Default: what the real one says. */
  readonly text?: string;
  /** How many `api_retry` messages come before. No time passes between them. Default: 0. */
  readonly retries?: number;
}

/**
 * A turn as its script sees it. Methods that speak wait while the reader is behind; await them. Once the turn is over (interrupted, ended
 * by `result`, its process dead) they reject, which ends the script; only `emit` and `raw` still work then, as long as the process lives.
 */
export interface FakeTurn {
  /** The text of the user message; of several that were waiting together, the lines of all. */
  readonly prompt: string;
  /**
   * Whether the prompt is text, whatever stands in it. Where it is not, the real Claude Code reads in files that it names, and runs the
   * command that it begins with; the fake leaves that to the script, but for `/clear` and `/compact`.
   */
  readonly verbatim: boolean;
  /** The last user message of the turn, as it was sent. */
  readonly message: SDKUserMessage;
  /** The texts of user messages that came while a tool ran: they joined this turn when the tool was done, and get no result of their own. */
  readonly joined: readonly string[];
  /** Counts the turns of this fake, from 0. */
  readonly index: number;
  readonly process: FakeProcess;
  /** What was said in this conversation before this turn. */
  readonly history: readonly FakeEntry[];
  /** Aborted when the turn is interrupted or its process ends. */
  readonly signal: AbortSignal;

  /** Says a text, and closes what `partial` began. */
  text(text: string, options?: FakeTextOptions): Promise<void>;
  /** One piece of a text that is not finished. The next `text`, tool use or result finishes it. */
  partial(text: string): Promise<void>;
  /** Thinks aloud. */
  thinking(text: string): Promise<void>;
  /**
   * Uses a tool that only seems to run: the tool use, the session's real `PreToolUse` and `PostToolUse` hooks, the result. A hook or a
   * `canUseTool` that denies makes the result an error. `EnterPlanMode` and `ExitPlanMode` change the permission mode. Returns the id of
   * the tool use.
   */
  toolUse(name: string, input: WireObject, outcome?: FakeToolOutcome): Promise<string>;
  /** Uses a tool of an in-process MCP server of the session; its function really runs. Hooks as in `toolUse`. Returns what the tool returned. */
  callTool(server: string, tool: string, args: WireObject): Promise<WireObject>;
  /** Calls the session's hooks for an event and returns what they returned. For tool events, `input.tool_name` selects them by matcher. */
  hook(event: HookEvent, input?: WireObject): Promise<WireObject[]>;
  /** Calls the session's `canUseTool` and returns its decision. Rejects if the session has none. */
  askPermission(toolName: string, input: WireObject): Promise<PermissionResult>;
  /** Sends any message of the SDK; `session_id` and `uuid` may be left out. */
  emit(message: SDKMessage | WireObject): Promise<void>;
  /** Puts raw text or bytes on standard output. A string gets a line feed, bytes nothing. */
  raw(data: string | Buffer): Promise<void>;
  /** Ends the turn now. */
  result(result?: FakeResult): Promise<void>;
  /** Ends the turn as the real Claude Code does when the API answers with an error that its retries did not cure. */
  fail(error: FakeApiError): Promise<void>;
  /** Kills the process in mid-turn. Never resolves to anything; the script ends here. */
  crash(how?: FakeCrash): Promise<never>;
  /** Ends the process with an exit code and no result. */
  exit(code: number): Promise<never>;
  /** Never resolves; rejects when the turn is interrupted or the process ends. */
  hang(): Promise<never>;
  /** Runs `work` right after the result of this turn was sent: for messages that come late. To be called before the result. */
  afterResult(work: () => void | Promise<void>): void;
}
