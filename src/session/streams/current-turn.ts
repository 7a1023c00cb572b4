import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Timer } from "../../clock.ts";
import type { TurnRecord } from "./turn-record.ts";

/** The turn that a process works on. */
export interface CurrentTurn {
  readonly record: TurnRecord;
  /** The id of its prompt, by which the process says which prompt a message answers. */
  readonly uuid: string;
  /** When the process got it, on the monotonic clock. */
  readonly since: number;
  /** The same in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether the process has taken it up; what it says before that belongs to something else. */
  begun: boolean;
  /** Runs while the process has been told to stop the turn; ends in its death. */
  stopping: Timer | undefined;
  /** Whether it has been written down that Claude has begun to answer or to act. */
  touched: boolean;
  /** How another turn takes its place, if one does; after a rollback it is taken out of the conversation when it has stopped. */
  displaced: "interrupt" | "rollback" | undefined;
  /** Whether its key was refused and has changed, so that another process is to run it. */
  anew: boolean;
  /** Ends it, once its result has come and it is being taken out of the conversation. */
  end: (() => void) | undefined;
}

/** What Claude Code says about the progress of a prompt. The SDK's types leave it out. */
interface Lifecycle {
  readonly uuid: string;
  readonly state: string;
  /** What began it, if no caller did. */
  readonly wakeupSource: string | undefined;
}

/** What `message` says about the progress of a prompt, if it does. */
export function lifecycleOf(message: SDKMessage): Lifecycle | undefined {
  if (!("command_uuid" in message && "state" in message)) return undefined;
  const { command_uuid: uuid, state } = message;
  if (typeof uuid !== "string" || typeof state !== "string") return undefined;
  const wakeupSource =
    "wakeup_source" in message && typeof message.wakeup_source === "string" ? message.wakeup_source : undefined;
  return { uuid, state, wakeupSource };
}

/** Whether `message` says that the process has taken up, or answers, the prompt with this id. */
export function isAbout(message: SDKMessage, uuid: string): boolean {
  const lifecycle = lifecycleOf(message);
  if (lifecycle !== undefined) return lifecycle.uuid === uuid && lifecycle.state === "started";
  const named = promptsOf(message);
  return named?.includes(uuid) ?? false;
}

/** Whether `message` answers some other prompt than the one with this id, or no prompt at all. */
export function isAboutAnother(message: SDKMessage, uuid: string): boolean {
  const named = promptsOf(message);
  return named === undefined ? isUnprompted(message) : !named.includes(uuid);
}

/** Whether `message` is of a turn that Claude Code began by itself, because a background task had something to tell. */
function isUnprompted(message: SDKMessage): boolean {
  return "origin" in message && message.origin?.kind === "task-notification";
}

/** Whether `message` names a prompt that it answers. */
export function answersPrompt(message: SDKMessage): boolean {
  return promptsOf(message) !== undefined;
}

/** The ids of the prompts that `message` says it answers. */
function promptsOf(message: SDKMessage): readonly unknown[] | undefined {
  if ("user_message_uuids" in message && Array.isArray(message.user_message_uuids)) return message.user_message_uuids;
  if ("user_message_uuid" in message && message.user_message_uuid !== undefined) return [message.user_message_uuid];
  return undefined;
}
