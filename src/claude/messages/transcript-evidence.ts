import type { SDKAssistantMessage, SDKMessage, SDKUserMessage, SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import { Progress } from "./progress.ts";
import type { ShownPiece } from "./shown.ts";
import { isSynthetic } from "./tools.ts";

/** What the transcript tells of a turn that was cut. */
export interface TranscriptEvidence {
  /** Whether its prompt is there. */
  readonly found: boolean;
  /**
   * Whether Claude had begun to answer or to act. That it had not is no proof: a message of Claude's is written when it has
   * come to its end, and its tools are started before. They may even have finished.
   */
  readonly touched: boolean;
  /** What had been shown, as far as messages were whole. */
  readonly shown: readonly ShownPiece[];
  /** The text in it. */
  readonly partialText: string;
  /** The tools that had been called, in order. */
  readonly toolUses: readonly { readonly id: string; readonly name: string }[];
  /** The last message of the turn at which no tool was running, if there is one after the prompt. */
  readonly lastUuid?: string;
}

/**
 * What came after a prompt, in a conversation of which that turn is the last.
 *
 * @param said all of the conversation, as it is read from the transcript
 * @param promptId the prompt's id in the transcript; `undefined` if it was handed to no process
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

/** The message as the process told it. Of what is said for the user only answers of tools tell that something was done. */
function asWhenItCame({ type, message, uuid, session_id, parent_tool_use_id }: SessionMessage): SDKMessage[] {
  if (!isContentful(message)) return [];
  // The types that the SDK leaves out here are the ones that it gives the same messages when they come from the process.
  if (type === "assistant") {
    const answer = message as SDKAssistantMessage["message"];
    return [{ type, message: answer, uuid: uuid as SDKAssistantMessage["uuid"], session_id, parent_tool_use_id }];
  }
  const isResult = message.content.some((block) => isObject(block) && block["type"] === "tool_result");
  if (type !== "user" || !isResult) return [];
  return [{ type, message: message as SDKUserMessage["message"], parent_tool_use_id }];
}

/** The last message of a conversation that it can be cut back to, now and later. */
export function lastOf(said: readonly SessionMessage[]): string | undefined {
  let progress = new Progress();
  let last: string | undefined;
  for (const message of said) {
    const told = asWhenItCame(message);
    // A prompt: what was left open before it is over.
    if (isPrompt(message)) progress = new Progress();
    for (const one of told) progress.add(one);
    if (progress.openTools === 0) last = message.uuid;
  }
  return last;
}

/**
 * The last message of the last turn that worked, other than the last turn of all; `undefined` if there is none. A turn has worked
 * if an answer of Claude's stands at its end.
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
  // What failed at the end is not the last that worked, nor is what was said before it all that can be refused.
  const candidates = last !== undefined && hasWorked(last) ? turns.slice(0, -1) : turns;
  return candidates.findLast(hasWorked)?.at(-1)?.uuid;
}

/** Whether it is said by a user, or in the place of one, and no answer of a tool. */
function isPrompt(message: SessionMessage): boolean {
  return message.type === "user" && asWhenItCame(message).length === 0;
}

function isContentful(message: unknown): message is { readonly content: readonly unknown[] } {
  return isObject(message) && Array.isArray(message["content"]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
