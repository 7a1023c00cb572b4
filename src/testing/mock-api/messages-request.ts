import type { IncomingHttpHeaders } from "node:http";

/** A content block of the Messages API. */
export interface MessagesBlock {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The body of a request to the Messages API. Types only the fields that tests need; all are present. */
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

/** A complete request of the real Claude Code. */
export interface MessagesRequest {
  /** The HTTP headers, in lower case: `x-api-key`, `x-claude-code-session-id` and so on. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: MessagesBody;
  /** The body as received, to search it for text. */
  readonly raw: string;
  /** Claude's id of the conversation. */
  readonly sessionId: string | undefined;
  /** All texts of the conversation in order, including reminders and tool results. */
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
