import type { CanUseTool, PermissionUpdate, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ProcessHost } from "../claude/process-host.ts";
import type { MirrorTranscript } from "../claude/transcript-mirror.ts";
import type { SessionContext } from "./context/session-context.ts";
import type { SessionView } from "./context/session-view.ts";
import type { SharedResources } from "./context/shared-resources.ts";
import type { ProcessOutput } from "./process/process-output.ts";
import type { SessionProcess } from "./process/session-process.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";

/** What the host of a process needs of its session. */
interface HostedSession {
  readonly context: SessionContext;
  readonly dispatcher: Dispatcher;
  readonly output: ProcessOutput;
  readonly process: SessionProcess;
  readonly view: SessionView;
  receive(message: SDKMessage): void;
}

/** Passes what a process says and asks to the parts of its session. */
export class SessionProcessHost implements ProcessHost {
  readonly #session: HostedSession;
  readonly #resources: SharedResources;

  constructor(session: HostedSession, resources: SharedResources) {
    this.#session = session;
    this.#resources = resources;
  }

  get who(): string {
    return this.#session.context.who;
  }

  message(message: SDKMessage): void {
    this.#session.receive(message);
  }

  spawned(pid: number | undefined): void {
    this.#session.process.spawned(pid);
  }

  advise(advice: string): void {
    this.#resources.advise(this.who, advice);
  }

  async toolBegins(): Promise<void> {
    await this.#session.dispatcher.toolBegins();
  }

  mirrored(...written: Parameters<MirrorTranscript>): void {
    this.#session.context.journal.transcripts.append(...written);
  }

  canUseTool(...request: Parameters<CanUseTool>): ReturnType<CanUseTool> {
    return this.#session.view.approvals.canUseTool(...request);
  }

  async granted(updates: readonly PermissionUpdate[]): Promise<void> {
    await this.#session.output.granted(updates);
  }
}
