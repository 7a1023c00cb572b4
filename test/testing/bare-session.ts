import { randomUUID } from "node:crypto";
import {
  type Options,
  type Query,
  query,
  type SDKMessage,
  type SDKResultMessage,
  type SDKUserMessage,
} from "@anthropic-ai/claude-agent-sdk";

/** A session on the bare Agent SDK, without Castellan: the reference for the testing kit. */
export class BareSession implements AsyncDisposable {
  readonly query: Query;
  /** Every message of the SDK, in order. */
  readonly messages: SDKMessage[] = [];
  /** Resolves when the stream ends: to its error, or to `undefined`. */
  readonly ended: Promise<Error | undefined>;
  #read = 0;
  #over = false;
  #wake: (() => void)[] = [];
  readonly #outbox: SDKUserMessage[] = [];
  #sent: () => void = () => {};
  #closing = false;

  constructor(options: Options) {
    this.query = query({ prompt: this.#prompts(), options: { settingSources: [], ...options } });
    this.ended = this.#drain();
  }

  /** Sends a user message and returns its uuid. */
  send(
    content: string,
    uuid: `${string}-${string}-${string}-${string}-${string}` = randomUUID(),
    more: Partial<SDKUserMessage> = {},
  ): string {
    this.#outbox.push({ type: "user", message: { role: "user", content }, parent_tool_use_id: null, uuid, ...more });
    this.#sent();
    return uuid;
  }

  /** Returns the next matching message after the last call's. Rejects if the stream ends first. */
  async next<T extends SDKMessage>(fits: (message: SDKMessage) => message is T): Promise<T>;
  async next(fits: (message: SDKMessage) => boolean): Promise<SDKMessage>;
  async next(fits: (message: SDKMessage) => boolean): Promise<SDKMessage> {
    for (;;) {
      while (this.#read < this.messages.length) {
        const message = this.messages[this.#read];
        this.#read += 1;
        if (message !== undefined && fits(message)) return message;
      }
      if (this.#over) throw new Error("the stream has ended", { cause: await this.ended });
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  result(): Promise<SDKResultMessage> {
    return this.next((message) => message.type === "result");
  }

  /** Sends a prompt and waits for its result. */
  async ask(content: string, more: Partial<SDKUserMessage> = {}): Promise<SDKResultMessage> {
    this.send(content, randomUUID(), more);
    return await this.result();
  }

  /** Ends the input, and waits until the stream ends. */
  async end(): Promise<Error | undefined> {
    this.#closing = true;
    this.#sent();
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.query.close();
    await this.ended;
  }

  async *#prompts(): AsyncGenerator<SDKUserMessage> {
    while (true) {
      yield* this.#outbox.splice(0);
      if (this.#closing) return;
      await new Promise<void>((resolve) => {
        this.#sent = resolve;
        if (this.#outbox.length > 0) resolve();
      });
    }
  }

  async #drain(): Promise<Error | undefined> {
    try {
      for await (const message of this.query) {
        this.messages.push(message);
        this.#alert();
      }
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#over = true;
      this.#alert();
    }
  }

  #alert(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

export function textDelta(message: SDKMessage): string | undefined {
  if (message.type !== "stream_event" || message.event.type !== "content_block_delta") return undefined;
  return message.event.delta.type === "text_delta" ? message.event.delta.text : undefined;
}

/** Returns `type`, with `subtype` or the event's type if there is one. */
export function kindOf(message: SDKMessage): string {
  const subtype =
    message.type === "stream_event" ? message.event.type : "subtype" in message ? message.subtype : undefined;
  return subtype === undefined ? message.type : `${message.type}/${subtype}`;
}
