import { readFileSync, watch, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { MockApi, MockReply, MockRequest } from "../../src/testing/index.ts";
import { Signals } from "../real/signals.ts";
import { noisePicture } from "./picture.ts";

/** The last prompt, so that the model gets everything that was remembered. */
export const LAST_PROMPT = "What was said?";

/** A prompt: a task and its key. */
const PROMPT = /^(say|hold|talk|append|look|linger) (\w+)$/;

/** A picture of that width and height has about a megabyte, and is in the transcript twice. */
const PICTURE_SIDE = 600;

/** Small, so that Claude Code never considers a conversation too long. */
const USAGE = { inputTokens: 100, outputTokens: 10 };

/** A request to the model with a new prompt. */
interface AskedPrompt {
  readonly key: string;
  /** The node, recognised by its API key. */
  readonly node: string;
  readonly at: number;
}

/** The messages of a conversation. */
type Messages = MockRequest["messages"];

/**
 * The model behind the sessions of a cluster. Each prompt has a key:
 *
 * - `say k1` is answered at once, `talk k1` slowly.
 * - `hold k1` is not answered, unless it is asked once more, or `release` is called.
 * - `append k1` has a command append the key to a file, and is answered then.
 * - `look k1` has a picture read, and is answered then.
 * - `linger k1` has a command append it, and then never end.
 */
export class ClusterModel {
  /** In the order of arrival. */
  readonly asked: AskedPrompt[] = [];
  /** The messages of each conversation, as of its last request. */
  readonly conversations: Map<string, Messages> = new Map();
  /** The answers to each key that were in the model's context. */
  readonly remembered: Map<string, Set<string>> = new Map();
  /** Keys of prompts that occurred twice in a request. */
  readonly doubled: Set<string> = new Set();
  readonly #file: string;
  readonly #picture: string;
  readonly #signals = new Signals<string>();
  readonly #held = new Map<string, PromiseWithResolvers<void>>();
  readonly #watcher: ReturnType<typeof watch>;

  /** @param file the file to which commands append; it needs a directory of its own */
  constructor(api: MockApi, file: string) {
    this.#file = file;
    this.#picture = `${file}.png`;
    writeFileSync(file, "");
    writeFileSync(this.#picture, noisePicture(PICTURE_SIDE));
    this.#watcher = watch(dirname(file), () => {
      for (const key of this.appended) this.#signals.reach(`appended ${key}`);
    });
    api.reply(
      () => true,
      (request) => this.#answer(request),
    );
  }

  /** Resolves once the prompt with this key has arrived for the `n`-th time. */
  came(key: string, n = 1): Promise<void> {
    return this.#signals.reached(`came ${key}`, n);
  }

  /** Resolves once a command has appended this key. */
  async done(key: string): Promise<void> {
    await this.#signals.reached(`appended ${key}`, 1);
  }

  /** The keys that commands appended, in order. */
  get appended(): readonly string[] {
    return readFileSync(this.#file, "utf8").split("\n").filter(Boolean);
  }

  /** Answers every held prompt. */
  release(): void {
    for (const { resolve } of this.#held.values()) resolve();
  }

  close(): void {
    this.#watcher.close();
    this.release();
  }

  async #answer(request: MockRequest): Promise<MockReply> {
    const { messages, headers } = request;
    this.#remember(request);
    const asked = promptsOf(messages).at(-1);
    if (asked === undefined || request.prompt.endsWith(LAST_PROMPT)) return "That was all.";
    const { what, key } = asked;
    const goesOn = messages.findLastIndex(({ role }) => role === "assistant") > lastPromptIn(messages);
    if (!goesOn) {
      const node = (headers["x-api-key"] ?? "").replace("sk-ant-mock-", "");
      this.asked.push({ key, node, at: Date.now() });
      this.#signals.reach(`came ${key}`);
      if (what === "append") return this.#command(`echo ${key} >> ${this.#file}`);
      if (what === "look") return { toolUses: [{ name: "Read", input: { file_path: this.#picture } }] };
      if (what === "linger") return this.#command(`echo ${key} >> ${this.#file}; tail -f /dev/null`);
      if (what === "hold") await this.#hold(key);
    }
    const n = this.asked.filter((prompt) => prompt.key === key).length;
    const text = `${key} answer ${n}${what === "talk" ? " and so on".repeat(30) : ""}`;
    return { text, usage: USAGE, ...(what === "talk" ? { tokensPerSecond: 40 } : {}) };
  }

  #command(command: string): MockReply {
    return { text: "I do it.", usage: USAGE, toolUses: [{ name: "Bash", input: { command, description: "Append" } }] };
  }

  /** Holds only the first request. */
  async #hold(key: string): Promise<void> {
    if (this.#held.has(key)) return;
    const held = Promise.withResolvers<void>();
    this.#held.set(key, held);
    await held.promise;
  }

  #remember({ sessionId = "none", messages }: MockRequest): void {
    this.conversations.set(sessionId, messages);
    const keys = promptsOf(messages).map(({ key }) => key);
    for (const key of keys.filter((key, at) => keys.indexOf(key) < at)) this.doubled.add(key);
    for (const { key, text } of answersIn(messages)) {
      this.remembered.set(key, (this.remembered.get(key) ?? new Set()).add(text));
    }
  }
}

/** Returns the index of the last prompt. Messages without text contain tool results. */
function lastPromptIn(messages: Messages): number {
  return messages.findLastIndex(({ role, text }) => role === "user" && text !== "");
}

/** Returns the prompts of a conversation, in order. Several unanswered prompts arrive as one message, a line each. */
export function promptsOf(messages: Messages): { readonly what: string; readonly key: string }[] {
  const lines = messages.filter(({ role }) => role === "user").flatMap(({ text }) => text.split("\n"));
  return lines.flatMap((line) => {
    const [, what, key] = PROMPT.exec(line.trim()) ?? [];
    return what === undefined || key === undefined ? [] : [{ what, key }];
  });
}

/** Returns the answers of a conversation, in order. */
export function answersIn(messages: Messages): { readonly key: string; readonly text: string }[] {
  return messages.flatMap(({ role, text }) => {
    const [, key] = /^(\w+) answer \d+/.exec(text) ?? [];
    return role === "assistant" && key !== undefined ? [{ key, text }] : [];
  });
}
