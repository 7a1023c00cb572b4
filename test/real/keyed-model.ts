import type { MockApi, MockReply, MockRequest } from "../../src/testing/index.ts";

/** What a model received and answered about one key. */
export interface KeyedTurn {
  /** How often its prompt arrived. */
  prompts: number;
  /** How often the model answered it with anything but a command. */
  answers: number;
  /** The answers found in conversations. */
  readonly remembered: Set<string>;
  /** Whether a command's result reported a failure. */
  failed: boolean;
}

/** The last prompt, so that the model gets everything that was remembered. */
export const LAST_PROMPT = "What was said?";

/** The model's text in a turn that Claude Code begins by itself. */
export const NOTICED = "I have noticed it.";

/** The tokens of each request. */
export const USAGE = { inputTokens: 1_000, outputTokens: 100 };

/** A prompt: a task and its key. */
const PROMPT = /^(say|talk|append slowly|append|background) (k\d+)$/;

/**
 * The model behind the sessions of an application that is killed. Each prompt has a key and each answer a number, which
 * shows what was asked twice and which answer is remembered.
 */
export class KeyedModel {
  readonly turns: Map<string, KeyedTurn> = new Map();
  /** The messages of each conversation, as of its last request. */
  readonly conversations: Map<string, MockRequest["messages"]> = new Map();
  /** Prompts found twice in a conversation, with the number of the first such request. */
  readonly doubled: Map<string, number> = new Map();
  requests = 0;
  readonly #file: string;
  readonly #onSign: (sign: "prompted" | "commanded" | "answered") => void;

  /** @param file the file to which commands append their key */
  constructor(file: string, onSign: (sign: "prompted" | "commanded" | "answered") => void) {
    this.#file = file;
    this.#onSign = onSign;
  }

  /** Answers for `api`, whose earlier fixtures are cleared. */
  serve(api: MockApi): void {
    api.clear();
    api.reply(
      () => true,
      (request) => this.#answer(request),
    );
  }

  #answer(request: MockRequest): MockReply {
    this.requests += 1;
    this.#remember(request);
    if (isTaskEnd(request)) return { text: NOTICED, usage: USAGE };
    const asked = promptsOf(request.messages).at(-1);
    if (asked === undefined || request.prompt.endsWith(LAST_PROMPT)) return { text: "That was all.", usage: USAGE };
    const { what, key } = asked;
    const turn = this.#turn(key);
    // The result of a cut turn's command arrives together with the next prompt.
    const answered = lastIndexOf(request, "assistant") > lastIndexOf(request, "user");
    this.#onSign(answered ? "answered" : "prompted");
    if (!answered) turn.prompts += 1;
    else turn.failed ||= request.toolResults.some(({ text }) => /exit code|error|killed|aborted/i.test(text));
    if (what.startsWith("append") && !answered) {
      this.#onSign("commanded");
      const command = `echo ${key} >> ${this.#file}`;
      const toolUses = (command: string) => [{ name: "Bash", input: { command, description: "Append" } }];
      if (what === "append") return { toolUses: toolUses(command), usage: USAGE };
      // The command writes the key first. The rest gives time for a kill.
      const slowly = toolUses(`${command}; timeout 0.3 tail -f /dev/null; true`);
      return { text: "I append it.", toolUses: slowly, tokensPerSecond: 400, usage: USAGE };
    }
    if (what === "background" && !answered) {
      const input = { command: "timeout 0.3 tail -f /dev/null; true", description: "Wait", run_in_background: true };
      return { toolUses: [{ name: "Bash", input }], usage: USAGE };
    }
    turn.answers += 1;
    const text = `${key} answer ${turn.answers}${what === "talk" ? " and so on".repeat(20) : ""}`;
    return { text, tokensPerSecond: what === "talk" ? 80 : 400, usage: USAGE };
  }

  #remember({ sessionId = "none", messages }: MockRequest): void {
    this.conversations.set(sessionId, messages);
    const prompts = promptsOf(messages);
    const twice = prompts.filter(({ key }, index) => prompts.findIndex((other) => other.key === key) < index);
    for (const { key } of twice) if (!this.doubled.has(key)) this.doubled.set(key, this.requests);
    for (const { key, text } of answersIn(messages)) this.#turn(key).remembered.add(text);
  }

  #turn(key: string): KeyedTurn {
    const turn = this.turns.get(key) ?? {
      prompts: 0,
      answers: 0,
      remembered: new Set<string>(),
      failed: false,
    };
    this.turns.set(key, turn);
    return turn;
  }
}

/** Whether Claude Code reports the end of a background task in a turn of its own, not beside a prompt. */
function isTaskEnd({ raw, prompt }: MockRequest): boolean {
  if (promptsOf([{ role: "user", text: prompt }]).length > 0) return false;
  const { messages } = raw as { readonly messages: readonly object[] };
  const last = messages.findLast((message) => "role" in message && message.role === "user");
  return JSON.stringify(last ?? "").includes("SYSTEM NOTIFICATION");
}

function lastIndexOf({ messages }: MockRequest, wanted: "assistant" | "user"): number {
  return messages.findLastIndex(({ role, text }) => role === wanted && (role === "assistant" || text !== ""));
}

/** Returns the prompts of a conversation, in order. Several unanswered prompts arrive as one message, a line each. */
export function promptsOf(messages: MockRequest["messages"]): { readonly what: string; readonly key: string }[] {
  const lines = messages.filter(({ role }) => role === "user").flatMap(({ text }) => text.split("\n"));
  return lines.flatMap((line) => {
    const [, what, key] = PROMPT.exec(line.trim()) ?? [];
    return what === undefined || key === undefined ? [] : [{ what, key }];
  });
}

/** Returns the answers of a conversation, in order. */
export function answersIn(messages: MockRequest["messages"]): { readonly key: string; readonly text: string }[] {
  return messages.flatMap(({ role, text }) => {
    const [, key] = /^(k\d+) answer \d+/.exec(text) ?? [];
    return role === "assistant" && key !== undefined ? [{ key, text }] : [];
  });
}
