import { messageOf } from "../../claude/messages/block-reader.ts";
import { type ToolResult, textOfOutput } from "../../claude/messages/tools.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { SessionName } from "../../names.ts";
import type { ContentReference, EventContent } from "../record/content.ts";
import type {
  HistoryApproval,
  HistoryOptions,
  HistoryPage,
  HistoryPart,
  HistoryTool,
  HistoryTurn,
} from "../record/history-entry.ts";
import { type ReadContent, withContents } from "../record/stored-contents.ts";
import type { ResponseView } from "./response-view.ts";
import type { TurnMetadata, UIApproval } from "./ui-message-chunk.ts";

/** Which messages to return. */
export interface UIMessagesOptions extends Omit<HistoryOptions, "thinking"> {
  /** Who reads them; only operators get `usage` and `costUsd`. Default `"user"`. */
  readonly view?: ResponseView;
}

/** A page of a chat. */
export interface UIMessagePage {
  /** The oldest first. */
  readonly messages: HistoryUIMessage[];
  /** The `before` of the page before this one. Left out if there is none. */
  readonly next?: number;
}

/** A message of the AI SDK, a `UIMessage<TurnMetadata, { approval: UIApproval; lost: { code: "EVENTS_LOST" } }>`. */
export interface HistoryUIMessage {
  /** The id of the turn for an answer. A prompt has `-prompt` behind it. */
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly parts: HistoryUIPart[];
  readonly metadata: TurnMetadata;
}

/** A part of a message of the AI SDK; the types that a turn needs. */
export type HistoryUIPart =
  | { readonly type: "step-start" }
  | { readonly type: "text" | "reasoning"; readonly text: string; readonly state: "done" }
  | { readonly type: "file"; readonly mediaType: string; readonly url: string; readonly filename?: string }
  | (UITool & { readonly state: "input-available"; readonly input: unknown })
  | (UITool & { readonly state: "output-available"; readonly input: unknown; readonly output: unknown })
  | (UITool & { readonly state: "output-error"; readonly input: unknown; readonly errorText: string })
  | { readonly type: "data-approval"; readonly id: string; readonly data: UIApproval }
  | { readonly type: "data-lost"; readonly data: { readonly code: "EVENTS_LOST" } };

/** A tool call of a {@link HistoryUIPart}. */
export interface UITool {
  readonly type: "dynamic-tool";
  readonly toolName: string;
  readonly toolCallId: string;
  readonly providerExecuted: true;
}

/** A session, on this node or on another. */
export interface UIMessagesSource {
  readonly name: SessionName;
  /** As {@link Session.history}. */
  history(options: HistoryOptions): Promise<HistoryPage>;
  /** As {@link Session.content}. */
  content(reference: ContentReference): Promise<EventContent | undefined>;
}

/**
 * Returns what was said in a session as messages of the Vercel AI SDK, for the `messages` with which a page's `useChat` begins, from
 * {@link Session.history}. A turn that waits or runs has only its prompt: `useChat` gets the answer from
 * `turn.toUIMessageStreamResponse()` when it resumes. Files that were sent are in data URLs. Subagents are left out, as in the stream.
 *
 * @throws CastellanError as `session.history` and `session.content`
 * @example
 * app.get("/api/chat/:id/messages", async (c) => c.json(await uiMessages(chatOf(c), { limit: 20 })));
 */
export async function uiMessages(
  session: UIMessagesSource,
  { view = "user", ...options }: UIMessagesOptions = {},
): Promise<UIMessagePage> {
  const { entries, next } = await session.history({ ...options, thinking: true });
  const messages: HistoryUIMessage[] = [];
  const read: ReadContent = (reference) => session.content(reference);
  for (const entry of entries) {
    if (entry.type !== "turn") continue;
    const { id, state } = entry;
    const metadata: TurnMetadata = { session: session.name, turnId: id };
    const asked = await promptOf(entry, read);
    if (asked.length > 0) messages.push({ id: `${id}-prompt`, role: "user", parts: asked, metadata });
    if (state === "queued" || state === "running") continue;
    const parts = await answerOf(entry, read);
    if (parts.length === 0) continue;
    const { stopReason, command, usage, costUsd } = entry;
    const forOperators = view === "operator" ? { usage, costUsd } : {};
    const end = withoutUndefined({ stopReason, command, ...forOperators });
    messages.push({ id, role: "assistant", parts, metadata: { ...metadata, ...end } });
  }
  return { messages, ...withoutUndefined({ next }) };
}

async function promptOf({ prompt, blocks }: HistoryTurn, read: ReadContent): Promise<HistoryUIPart[]> {
  if (prompt !== undefined) return [await textOf(prompt, read)];
  const whole = blocks === undefined ? [] : await withContents(blocks, read);
  return Array.isArray(whole) ? whole.flatMap((block) => ofBlock(block)) : [LOST];
}

/** Returns the part of a block of a prompt. A file that was uploaded to the API has none. */
function ofBlock(block: Json): HistoryUIPart[] {
  const { type, text, source, title } = fieldsOf(block);
  if (type === "text") return typeof text === "string" ? [{ type, text, state: "done" }] : [LOST];
  const { type: form, media_type: mediaType, data, url } = fieldsOf(source);
  const named = typeof title === "string" ? { filename: title } : {};
  if (form === "url" && typeof url === "string") {
    return [{ type: "file", mediaType: type === "image" ? "image" : "application/pdf", url, ...named }];
  }
  if (typeof mediaType !== "string") return [];
  if (typeof data !== "string") return [LOST];
  const encoded = form === "base64" ? data : Buffer.from(data).toString("base64");
  return [{ type: "file", mediaType, url: `data:${mediaType};base64,${encoded}`, ...named }];
}

function fieldsOf(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

/** Returns the parts of an answer, with a step for each API message. */
async function answerOf({ parts }: HistoryTurn, read: ReadContent): Promise<HistoryUIPart[]> {
  const shown: HistoryUIPart[] = [];
  let step: string | undefined;
  for (const part of parts) {
    const next = await partsOf(part, read);
    const isWritten = part.type === "text" || part.type === "thinking";
    const message = isWritten ? messageOf(part.block) : part.type === "tool" ? (part.message ?? step ?? "") : step;
    if (next.length > 0 && message !== step) shown.push({ type: "step-start" });
    if (next.length > 0) step = message;
    shown.push(...next);
  }
  return shown;
}

async function partsOf(part: HistoryPart, read: ReadContent): Promise<HistoryUIPart[]> {
  switch (part.type) {
    case "text":
    case "thinking":
      // Claude sends hidden thinking as empty text.
      return part.text === "" ? [] : [await textOf(part.text, read, part.type === "text" ? "text" : "reasoning")];
    case "tool":
      return part.name === "" ? [] : [await toolOf(part, read), ...part.approvals.map(approvalOf(part.id))];
    case "approval":
      return [approvalOf(undefined)(part.approval)];
    case "missing":
      return [LOST];
    case "steered":
      return [];
  }
}

async function textOf(
  text: HistoryTurn["prompt"] & {},
  read: ReadContent,
  type: "text" | "reasoning" = "text",
): Promise<HistoryUIPart> {
  const whole = typeof text === "string" ? text : await withContents({ ...text }, read);
  return typeof whole === "string" ? { type, text: whole, state: "done" } : LOST;
}

async function toolOf({ id, name, input, result }: HistoryTool, read: ReadContent): Promise<HistoryUIPart> {
  const tool: UITool = { type: "dynamic-tool", toolName: name, toolCallId: id, providerExecuted: true };
  const given = await withContents(input, read);
  if (result === undefined) return { ...tool, state: "input-available", input: given };
  const output = await withContents(result.output, read);
  if (!result.failed) return { ...tool, state: "output-available", input: given, output };
  // What the process sent was text, or blocks of the Messages API.
  return { ...tool, state: "output-error", input: given, errorText: textOfOutput(output as ToolResult["output"]) };
}

const approvalOf =
  (toolUseId: string | undefined) =>
  ({ at: _, settledAt: _1, changedInput: _2, ...approval }: HistoryApproval): HistoryUIPart => ({
    type: "data-approval",
    id: approval.id,
    data: { ...approval, ...withoutUndefined({ toolUseId }) },
  });

const LOST: HistoryUIPart = { type: "data-lost", data: { code: "EVENTS_LOST" } };
