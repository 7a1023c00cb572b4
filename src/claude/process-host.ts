import type { CanUseTool, PermissionUpdate, SDKMessage, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { beforeTools } from "./before-tools.ts";

/** Whom a process tells what it says, and asks before it does something. */
export interface ProcessHost {
  /** The session, for messages. */
  readonly who: string;
  /** Called for every message of the process, in order. */
  message(message: SDKMessage): void;
  /** Called as soon as there is a process, which is before its handshake is done. */
  spawned(pid: number | undefined): void;
  /** An option does not do what it seems to do. Called as soon as that is known, and again for the same. */
  advise(advice: string): void;
  /** A tool is about to run, and waits for this. */
  toolBegins(): Promise<void>;
  /** Decides on tools, if that is not for the options to do. */
  readonly canUseTool: CanUseTool;
  /** An answer of the application grants this for longer than one use of a tool. The answer is given when it resolves. */
  granted(updates: readonly PermissionUpdate[]): Promise<void>;
}

/** The options with what a process asks its host. @param approvals whether the host decides on tools */
export function hosted(options: SdkOptions, host: ProcessHost, approvals: boolean): SdkOptions {
  const asked = beforeTools(options, () => host.toolBegins());
  return approvals ? { ...asked, canUseTool: (...request) => host.canUseTool(...request) } : asked;
}

/** How much a process may say before anybody listens. Before its first turn it says next to nothing. */
const MOST_MESSAGES = 100;

/** The host of a process that is nobody's yet: keeps what it says for the one that takes it. */
export class ParkedHost implements ProcessHost {
  #host: ProcessHost | undefined;
  #pid: number | undefined;
  #said: SDKMessage[] = [];
  readonly #advice = new Set<string>();

  get who(): string {
    return this.#host?.who ?? "a spare process";
  }

  message(message: SDKMessage): void {
    if (this.#host !== undefined) this.#host.message(message);
    else if (this.#said.length < MOST_MESSAGES) this.#said.push(message);
  }

  spawned(pid: number | undefined): void {
    this.#pid = pid;
  }

  advise(advice: string): void {
    if (this.#host === undefined) this.#advice.add(advice);
    else this.#host.advise(advice);
  }

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

  /** The process is `host`'s from now on. */
  bind(host: ProcessHost): void {
    this.#host = host;
    host.spawned(this.#pid);
    for (const advice of this.#advice) host.advise(advice);
    for (const message of this.#said.splice(0)) host.message(message);
  }
}
