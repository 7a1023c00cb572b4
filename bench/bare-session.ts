import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { query, type SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import { buildEnvironment } from "../src/claude/environment.ts";
import type { Ground } from "./ground.ts";

/**
 * A conversation with the Agent SDK and nothing around it, with the options and the environment that Castellan gives it: Claude
 * Code starts later by what it has to load, as the certificates that `NODE_EXTRA_CA_CERTS` names.
 */
export class BareSession {
  /** Resolves when the handshake is done. */
  readonly ready: Promise<unknown>;
  /** Claude's id of the conversation, once it has said anything. */
  id: string | undefined;
  readonly #input = new Readable({ objectMode: true, read() {} });
  readonly #ended: Promise<void>;
  #answered: PromiseWithResolvers<number> = Promise.withResolvers();

  constructor(ground: Ground, resume?: string) {
    const messages = query({
      prompt: this.#input,
      options: {
        settingSources: [],
        includePartialMessages: true,
        mcpServersDelivery: "initialize",
        permissionPrompts: "none",
        ...ground.options,
        env: buildEnvironment({ host: process.env, env: ground.options.env }),
        ...(resume === undefined ? {} : { resume }),
      },
    });
    this.ready = messages.initializationResult();
    this.#ended = this.#read(messages);
  }

  /** Asks, and resolves when the answer is there. Says of how many messages it was. */
  async ask(prompt: string): Promise<number> {
    this.#answered = Promise.withResolvers();
    const message = { role: "user" as const, content: prompt };
    const uuid = randomUUID();
    this.#input.push({ type: "user", message, parent_tool_use_id: null, uuid } satisfies SDKUserMessage);
    return await this.#answered.promise;
  }

  /** Ends the process, and resolves when it is gone. */
  async end(): Promise<void> {
    this.#input.push(null);
    await this.#ended;
  }

  async #read(messages: ReturnType<typeof query>): Promise<void> {
    let count = 0;
    for await (const message of messages) {
      count += 1;
      if (message.type !== "result") continue;
      this.id = message.session_id;
      this.#answered.resolve(count);
      count = 0;
    }
    this.#answered.reject(new Error("the process has ended before it answered"));
    this.#answered.promise.catch(() => {});
  }
}
