import type { SDKAssistantMessage, SDKMessage, SDKUserMessage, SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import { Progress } from "./progress.ts";
import type { ShownPiece } from "./shown.ts";
import { isSynthetic } from "./tools.ts";

/** What the transcript shows of an interrupted turn. */
export interface TranscriptEvidence {
  /** Whether it contains the turn's prompt. */
  readonly found: boolean;
  /**
   * Whether Claude had begun to answer or to act. `false` proves nothing: Claude Code writes a message once it is
   * complete and starts its tools earlier, so they may even have finished.
   */
  readonly touched: boolean;
  /** The output, as far as messages were complete. */
  readonly shown: readonly ShownPiece[];
  /** The text of the output. */
  readonly partialText: string;
  /** The tools that were called, in order. */
  readonly toolUses: readonly { readonly id: string; readonly name: string }[];
  /** The turn's last message at which no tool was running, if any follows the prompt. */
  readonly lastUuid?: string;
}

/**
 * Returns what follows the prompt of a conversation's last turn.
 *
 * @param said the whole conversation, as read from the transcript
 * @param promptId the prompt's id in the transcript; `undefined` if no process received it
 */
export function evidenceIn(said: readonly SessionMessage[], promptId: string | undefined): TranscriptEvidence {
  const prompt = promptId === undefined ? -1 : said.findIndex(({ uuid }) => uuid === promptId);
  const answers = prompt === -1 ? [] : said.slice(prompt + 1).filter((message) => !isSynthetic(message));
  const progress = new Progress();
  for (const message of answers.flatMap(asWhenItCame)) progress.add(message);
  const lastUuid = lastOf(answers);
  return withoutUndefined({
    found: prompt !== -1,
    touched: progress.touched,
    shown: progress.shown,
    partialText: progress.text,
    toolUses: progress.toolUses.map(({ id, name }) => ({ id, name })),
    lastUuid,
  });
}

/**
 * Returns the message in the form in which the process sent it. Of user messages, only tool results show that something
 * was done.
 */
function asWhenItCame({ type, message, uuid, session_id, parent_tool_use_id }: SessionMessage): SDKMessage[] {
  if (!isContentful(message)) return [];
  // The SDK omits these types here; the process's own messages have them.
  if (type === "assistant") {
    const answer = message as SDKAssistantMessage["message"];
    return [{ type, message: answer, uuid: uuid as SDKAssistantMessage["uuid"], session_id, parent_tool_use_id }];
  }
  const isResult = message.content.some((block) => isObject(block) && block["type"] === "tool_result");
  if (type !== "user" || !isResult) return [];
  return [{ type, message: message as SDKUserMessage["message"], parent_tool_use_id }];
}

/** Returns the last message that the conversation can be cut back to, now and later. */
export function lastOf(said: readonly SessionMessage[]): string | undefined {
  let progress = new Progress();
  let last: string | undefined;
  for (const message of said) {
    const told = asWhenItCame(message);
    // A prompt ends all open tool calls.
    if (isPrompt(message)) progress = new Progress();
    for (const one of told) progress.add(one);
    if (progress.openTools === 0) last = message.uuid;
  }
  return last;
}

/**
 * Returns the last message of the last successful turn before the final turn, or undefined. A turn was successful if it
 * ends with an answer of Claude's.
 */
export function lastThatWorked(said: readonly SessionMessage[]): string | undefined {
  const turns: SessionMessage[][] = [];
  for (const message of said) {
    if (isPrompt(message)) turns.push([]);
    turns.at(-1)?.push(message);
  }
  const hasWorked = (turn: readonly SessionMessage[]): boolean => {
    const end = turn.at(-1);
    return end?.type === "assistant" && !isSynthetic(end) && lastOf(turn) === end.uuid;
  };
  const last = turns.at(-1);
  // If the final turn succeeded, it is not a candidate: the API rejects something up to its end.
  const candidates = last !== undefined && hasWorked(last) ? turns.slice(0, -1) : turns;
  return candidates.findLast(hasWorked)?.at(-1)?.uuid;
}

/** Whether it is a message of the user, or in the user's place, and not a tool result. */
function isPrompt(message: SessionMessage): boolean {
  return message.type === "user" && asWhenItCame(message).length === 0;
}

function isContentful(message: unknown): message is { readonly content: readonly unknown[] } {
  return isObject(message) && Array.isArray(message["content"]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
