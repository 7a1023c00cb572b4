import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { query, type SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeClaude } from "../src/testing/index.ts";
import type { Contender } from "./contender.ts";

/** The Agent SDK with nothing around it, and with the options that Castellan gives it. */
export const bareSdk: Contender = {
  name: "bare SDK",
  open: async (fake, count) => {
    const sessions = Array.from({ length: count }, () => new BareSession(fake));
    await Promise.all(sessions.map(({ ready }) => ready));
    return {
      ask: async (session, prompt) => await sessions[session]?.ask(prompt),
      close: async () => {
        await Promise.all(sessions.map((session) => session.end()));
      },
    };
  },
};

class BareSession {
  readonly ready: Promise<unknown>;
  readonly #input = new Readable({ objectMode: true, read() {} });
  readonly #ended: Promise<void>;
  #answered: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(fake: FakeClaude) {
    const messages = query({
      prompt: this.#input,
      options: {
        spawnClaudeCodeProcess: fake.spawn,
        settingSources: [],
        includePartialMessages: true,
        mcpServersDelivery: "initialize",
        permissionPrompts: "none",
      },
    });
    this.ready = messages.initializationResult();
    this.#ended = this.#read(messages);
  }

  async ask(prompt: string): Promise<void> {
    this.#answered = Promise.withResolvers();
    const message = { role: "user" as const, content: prompt };
    const uuid = randomUUID();
    this.#input.push({ type: "user", message, parent_tool_use_id: null, uuid } satisfies SDKUserMessage);
    await this.#answered.promise;
  }

  async end(): Promise<void> {
    this.#input.push(null);
    await this.#ended;
  }

  async #read(messages: ReturnType<typeof query>): Promise<void> {
    for await (const message of messages) if (message.type === "result") this.#answered.resolve();
  }
}
