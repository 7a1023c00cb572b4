import type { IncomingHttpHeaders } from "node:http";

/** A block of content, as the Messages API has it. */
export interface MessagesBlock {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The body of a request to the Messages API, with the fields that tests ask for; the others are there too. */
export interface MessagesBody {
  readonly model: string;
  readonly system?: unknown;
  readonly messages: readonly {
    readonly role: "user" | "assistant" | "system";
    readonly content: string | readonly MessagesBlock[];
  }[];
  readonly tools?: readonly { readonly name: string }[];
  readonly stream?: boolean;
  readonly [field: string]: unknown;
}

/** A request that the real Claude Code made, whole. */
export interface MessagesRequest {
  /** HTTP headers, in lower case: `x-api-key`, `x-claude-code-session-id` and so on. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: MessagesBody;
  /** The body as it came, to look for what must, or must not, stand anywhere in it. */
  readonly raw: string;
  /** Claude's id of the conversation. */
  readonly sessionId: string | undefined;
  /** All texts of the conversation, in order, reminders and answers of tools included. */
  readonly texts: readonly { readonly role: string; readonly text: string }[];
}

export function readMessagesRequest(raw: string, given: IncomingHttpHeaders): MessagesRequest {
  const body = JSON.parse(raw) as MessagesBody;
  const headers = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
  return {
    headers,
    body,
    raw,
    sessionId: headers["x-claude-code-session-id"],
    texts: body.messages.flatMap(({ role, content }) => textsIn(content).map((text) => ({ role, text }))),
  };
}

function textsIn(content: unknown): string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((block: Partial<MessagesBlock>) =>
    typeof block["text"] === "string" ? [block["text"]] : textsIn(block["content"]),
  );
}
