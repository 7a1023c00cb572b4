import type { CanUseTool, PermissionUpdate, SDKMessage, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import type { MirrorTranscript } from "./transcript-mirror.ts";

/** Receives a process's messages, and answers its questions. */
export interface ProcessHost {
  /** Names the session in messages. */
  readonly who: string;
  /** Called for every message of the process, in order. */
  message(message: SDKMessage): void;
  /** Called once the process exists, before its handshake is done. */
  spawned(pid: number | undefined): void;
  /** Called as soon as an option is known to have no effect or a surprising one. May repeat itself. */
  advise(advice: string): void;
  /** Called before a tool runs; the tool waits for it. */
  toolBegins(): Promise<void>;
  /** Called with the entries that the process writes to its transcripts, if it is mirrored. */
  readonly mirrored: MirrorTranscript;
  /** Decides on tools, if the options do not. */
  readonly canUseTool: CanUseTool;
  /**
   * Called when an answer of the application grants permissions beyond a single tool use. Claude Code receives the
   * answer after it resolves.
   */
  granted(updates: readonly PermissionUpdate[]): Promise<void>;
}

/** Returns the options with a process's callbacks to its host. @param approvals whether the host decides on tools */
export function hosted(options: SdkOptions, host: ProcessHost, approvals: boolean): SdkOptions {
  const asked = beforeTools(options, () => host.toolBegins());
  return approvals ? { ...asked, canUseTool: (...request) => host.canUseTool(...request) } : asked;
}

/** How many messages of an unclaimed process to keep. Before its first turn a process sends very few. */
const MOST_MESSAGES = 100;

/** The host of a spare, which belongs to no session yet: keeps its messages for the session that claims it. */
export class ParkedHost implements ProcessHost {
  #host: ProcessHost | undefined;
  #pid: number | undefined;
  #messages: SDKMessage[] = [];
  #mirrored: Parameters<MirrorTranscript>[] = [];
  readonly #advice = new Set<string>();

  get who(): string {
    return this.#host?.who ?? "a spare process";
  }

  message(message: SDKMessage): void {
    if (this.#host !== undefined) this.#host.message(message);
    else if (this.#messages.length < MOST_MESSAGES) this.#messages.push(message);
  }

  spawned(pid: number | undefined): void {
    this.#pid = pid;
  }

  advise(advice: string): void {
    if (this.#host === undefined) this.#advice.add(advice);
    else this.#host.advise(advice);
  }

  readonly mirrored: MirrorTranscript = (...written) => {
    if (this.#host !== undefined) this.#host.mirrored(...written);
    else if (this.#mirrored.length < MOST_MESSAGES) this.#mirrored.push(written);
  };

  async toolBegins(): Promise<void> {
    await this.#host?.toolBegins();
  }

  readonly canUseTool: CanUseTool = async (...request) => {
    return this.#host === undefined
      ? { behavior: "deny", message: "The process is nobody's yet." }
      : await this.#host.canUseTool(...request);
  };

  async granted(updates: readonly PermissionUpdate[]): Promise<void> {
    await this.#host?.granted(updates);
  }

  /** Passes the process on to `host`. */
  bind(host: ProcessHost): void {
    this.#host = host;
    host.spawned(this.#pid);
    for (const advice of this.#advice) host.advise(advice);
    for (const written of this.#mirrored.splice(0)) host.mirrored(...written);
    for (const message of this.#messages.splice(0)) host.message(message);
  }
}

/** How long to hold a tool back, in seconds. After that, Claude Code starts it anyway. */
const LIMIT_SECONDS = 3_600;

/**
 * Adds a hook to the options that is awaited before each tool starts. Claude Code starts a tool as soon as it knows the
 * input, which can be before a message reports it, and long before the transcript does. Shell commands in a skill's
 * text are not tools to Claude Code: they run while it reads the skill, and have a hook of their own.
 */
function beforeTools(options: SdkOptions, called: () => Promise<void>): SdkOptions {
  const { hooks = {} } = options;
  const hook = async (): Promise<Record<string, never>> => {
    await called();
    return {};
  };
  const first = { hooks: [hook], timeout: LIMIT_SECONDS };
  return {
    ...options,
    hooks: {
      ...hooks,
      PreToolUse: [first, ...(hooks.PreToolUse ?? [])],
      PreSkillShellCommand: [first, ...(hooks.PreSkillShellCommand ?? [])],
    },
  };
}
