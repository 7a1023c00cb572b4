import type { FakeExit } from "./fake-child.ts";
import type { FakeScript } from "./fake-options.ts";
import type { WireObject } from "./fake-wire.ts";

/** How a fake process is made to die. Give a code or a signal. */
export interface FakeCrash {
  /** Exit code. Default: 1, if no signal is given. */
  readonly code?: number;
  /** The signal that killed it, such as `"SIGKILL"`. */
  readonly signal?: NodeJS.Signals;
  /** What it says on standard error before. Default: nothing. */
  readonly stderr?: string;
}

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
