import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { query, type SDKMessage, type SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import { buildEnvironment } from "../src/claude/environment.ts";
import type { Backend } from "./backend.ts";

/**
 * A conversation on the bare Agent SDK, with the options and the environment that Castellan uses. The environment matters: Claude Code
 * starts later if it has to load certificates from `NODE_EXTRA_CA_CERTS`.
 */
export class BareSession {
  /** Resolves once the handshake is done. */
  readonly ready: Promise<unknown>;
  /** Claude's id of the conversation, after the first message. */
  id: string | undefined;
  readonly #input = new Readable({ objectMode: true, read() {} });
  readonly #ended: Promise<void>;
  #answered: PromiseWithResolvers<number> = Promise.withResolvers();
  #begun: PromiseWithResolvers<void> = Promise.withResolvers();

  /** @param told gets each message */
  constructor(backend: Backend, resume?: string, told?: (message: SDKMessage) => void) {
    const messages = query({
      prompt: this.#input,
      options: {
        settingSources: [],
        includePartialMessages: true,
        mcpServersDelivery: "initialize",
        permissionPrompts: "none",
        ...backend.options,
        env: buildEnvironment({ host: process.env, env: backend.options.env }),
        ...(resume === undefined ? {} : { resume }),
      },
    });
    this.ready = messages.initializationResult();
    this.#ended = this.#read(messages, told);
  }

  /** Sends a prompt. Resolves with the number of messages of the answer. */
  async ask(prompt: string): Promise<number> {
    this.#answered = Promise.withResolvers();
    const message = { role: "user" as const, content: prompt };
    const uuid = randomUUID();
    this.#input.push({ type: "user", message, parent_tool_use_id: null, uuid } satisfies SDKUserMessage);
    return await this.#answered.promise;
  }

  /** Sends a prompt. Resolves with the milliseconds until the first piece of the answer's text, after the end of the answer. */
  async firstToken(prompt: string): Promise<number> {
    this.#begun = Promise.withResolvers();
    const since = performance.now();
    const answered = this.ask(prompt);
    await this.#begun.promise;
    const ms = performance.now() - since;
    await answered;
    return ms;
  }

  /** Ends the process. Resolves once it is gone. */
  async end(): Promise<void> {
    this.#input.push(null);
    await this.#ended;
  }

  async #read(messages: ReturnType<typeof query>, told?: (message: SDKMessage) => void): Promise<void> {
    let count = 0;
    for await (const message of messages) {
      count += 1;
      if (message.type === "stream_event" && message.event.type === "content_block_delta") this.#begun.resolve();
      told?.(message);
      if (message.type !== "result") continue;
      this.id = message.session_id;
      this.#answered.resolve(count);
      count = 0;
    }
    this.#answered.reject(new Error("the process ended before it answered"));
    this.#answered.promise.catch(() => {});
  }
}
