import type { ChatCompletionRequest, ChatMessage } from "@copilotkit/aimock";

/** A message of a conversation, as Claude Code sent it to the API. */
export interface MockMessage {
  readonly role: "user" | "assistant" | "tool";
  readonly text: string;
}

/** A request of the real Claude Code, reduced to the conversation. */
export interface MockRequest {
  readonly model: string;
  /** The complete system prompt, including Claude Code's parts. */
  readonly system: string;
  /** The conversation so far, without Claude Code's reminders. */
  readonly messages: readonly MockMessage[];
  /** The user's last prompt. Earlier unanswered prompts precede it, one per line, because Claude Code sends them in one message. */
  readonly prompt: string;
  /** The tool results in this request. */
  readonly toolResults: readonly { readonly id: string; readonly text: string }[];
  /** The names of the available tools. */
  readonly tools: readonly string[];
  /** HTTP headers, in lower case: `x-api-key`, `x-claude-code-session-id` and so on. */
  readonly headers: Readonly<Record<string, string>>;
  /** Claude's id of the conversation. */
  readonly sessionId: string | undefined;
  /** The request as parsed by aimock. */
  readonly raw: unknown;
}

export function readRequest(raw: ChatCompletionRequest, headers: Readonly<Record<string, string>>): MockRequest {
  const said = raw.messages.filter((message) => message.role !== "system");
  const lastAnswer = said.findLastIndex((message) => message.role === "assistant");
  const messages = said.map((message) => ({ role: roleOf(message), text: withoutReminders(textOf(message)) }));
  return {
    model: raw.model,
    system: raw.messages
      .filter((message) => message.role === "system")
      .map(textOf)
      .join("\n"),
    messages,
    prompt: messages.findLast((message) => message.role === "user")?.text ?? "",
    toolResults: said
      .slice(lastAnswer + 1)
      .filter((message) => message.role === "tool")
      .map((message) => ({ id: message.tool_call_id ?? "", text: withoutReminders(textOf(message)) })),
    tools: (raw.tools ?? []).map((tool) => tool.function.name),
    headers,
    sessionId: headers["x-claude-code-session-id"],
    raw,
  };
}

/** The user's prompt before `request.prompt`, or `undefined` if that was the first. */
export function previousPrompt(request: MockRequest): string | undefined {
  return request.messages.filter((message) => message.role === "user" && message.text !== "").at(-2)?.text;
}

const REMINDERS = /<(system-reminder|command-[a-z]+|local-command-[a-z]+)>[\s\S]*?<\/\1>/g;

function withoutReminders(text: string): string {
  return text.replace(REMINDERS, "").trim();
}

function roleOf(message: ChatMessage): MockMessage["role"] {
  return message.role === "system" ? "user" : message.role;
}

function textOf(message: ChatMessage): string {
  const { content } = message;
  if (typeof content === "string" || content === null) return content ?? "";
  return content.map((part) => part.text ?? "").join("");
}
