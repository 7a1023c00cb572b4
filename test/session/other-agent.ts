import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation, ProcessRequests, StartActivation } from "../../src/claude/activation.ts";
import type { McpServer } from "../../src/claude/mcp-servers.ts";
import type { RunRequest } from "../../src/claude/process-run.ts";
import type { ExitRecord } from "../../src/errors.ts";
import { assistantMessage, resultMessage } from "../../src/testing/messages.ts";

/** An agent without a process, a binary or the SDK's `query`. Answers each prompt with all prompts of the conversation. */
export class OtherAgent {
  /** The conversations of its activations, in order. */
  readonly conversations: RunRequest["conversation"][] = [];
  /** The control requests that it received. */
  readonly requests: [name: string, ...args: unknown[]][] = [];
  readonly activations: OtherActivation[] = [];
  readonly #memory = new Map<string, string[]>();

  readonly start: StartActivation = async (request, clock) => {
    this.conversations.push(request.conversation);
    const { id } = request.conversation;
    const remembered = this.#memory.get(id) ?? [];
    this.#memory.set(id, remembered);
    const activation = new OtherActivation(request, remembered, this.requests, clock.now());
    this.activations.push(activation);
    return activation;
  };
}

export class OtherActivation implements Activation {
  readonly pid: undefined;
  readonly marker: string;
  readonly credentials: string = "none";
  readonly hostCalls: number = 0;
  readonly startedAt: number;
  readonly exited: Promise<ExitRecord>;
  ending = false;
  readonly #exit: PromiseWithResolvers<ExitRecord> = Promise.withResolvers();
  readonly #request: RunRequest;
  readonly #remembered: string[];
  readonly #requests: [name: string, ...args: unknown[]][];

  constructor(
    request: RunRequest,
    remembered: string[],
    requests: [name: string, ...args: unknown[]][],
    startedAt: number,
  ) {
    this.#request = request;
    this.#remembered = remembered;
    this.#requests = requests;
    this.startedAt = startedAt;
    this.marker = request.id;
    this.exited = this.#exit.promise;
  }

  send(uuid: string, prompt: string): void {
    this.#remembered.push(prompt);
    const sessionId = this.#request.conversation.id;
    const text = this.#remembered.join(", ");
    const about = { user_message_uuid: uuid };
    this.#tell({ ...assistantMessage(text, [], { sessionId }), ...about });
    this.#tell({ ...resultMessage(text, { sessionId }), ...about });
  }

  steer(): void {}

  async interrupt(): Promise<void> {}

  async withdraw(): Promise<boolean> {
    return false;
  }

  async rewind(): Promise<"refused"> {
    return "refused";
  }

  async request<Name extends keyof ProcessRequests>(name: Name, ...args: unknown[]): Promise<never> {
    this.#requests.push([name, ...args]);
    return undefined as never;
  }

  async permit(): Promise<void> {}

  async ping(): Promise<void> {}

  async mcpServers(): Promise<McpServer[]> {
    return [];
  }

  async moved(): Promise<void> {}

  async end(): Promise<ExitRecord> {
    return await this.exit({ class: "done", message: "asked to end" });
  }

  async kill(found: Pick<ExitRecord, "class" | "message">): Promise<ExitRecord> {
    return await this.exit(found);
  }

  /** Ends without a request. */
  async exit(exit: Pick<ExitRecord, "class" | "message">): Promise<ExitRecord> {
    this.ending = true;
    this.#exit.resolve({ ...exit, at: this.startedAt });
    return await this.exited;
  }

  #tell(message: SDKMessage): void {
    this.#request.host.message(message);
  }
}
