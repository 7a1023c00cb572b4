import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** The progress of a prompt, which Claude Code reports in fields that the SDK's types omit. */
interface Lifecycle {
  readonly uuid: string;
  readonly state: string;
  /** The schedule that began the turn, if no caller did. */
  readonly wakeupSource: string | undefined;
}

/** Returns the progress of a prompt that `message` reports, if it reports any. */
export function lifecycleOf(message: SDKMessage): Lifecycle | undefined {
  if (!("command_uuid" in message && "state" in message)) return undefined;
  const { command_uuid: uuid, state } = message;
  if (typeof uuid !== "string" || typeof state !== "string") return undefined;
  const wakeupSource =
    "wakeup_source" in message && typeof message.wakeup_source === "string" ? message.wakeup_source : undefined;
  return { uuid, state, wakeupSource };
}

/** Whether `message` reports only the progress of a prompt, or whether the process works. Callers see neither. */
export function isProgressReport(message: SDKMessage): boolean {
  const isState = message.type === "system" && message.subtype === "session_state_changed";
  return isState || lifecycleOf(message) !== undefined;
}

/** Whether `message` reports that the process took up the prompt with this id, or answers it. */
export function isAbout(message: SDKMessage, uuid: string): boolean {
  const lifecycle = lifecycleOf(message);
  if (lifecycle !== undefined) return lifecycle.uuid === uuid && lifecycle.state === "started";
  return promptsOf(message)?.includes(uuid) ?? false;
}

/** Whether `message` answers only prompts other than the turn's, or none. @param isOwn whether the turn has the prompt with this id */
export function isAboutOtherPrompt(message: SDKMessage, isOwn: (uuid: unknown) => boolean): boolean {
  const named = promptsOf(message);
  return named === undefined ? isOfTask(message) : !named.some(isOwn);
}

/** What Claude Code reports of work that no caller requested. */
export type OwnWork =
  /** A background task ended. A turn may follow. */
  | "task_ended"
  /** A turn begins because a schedule came due. */
  | "schedule_began"
  /** A turn begins that names no prompt. */
  | "turn_began"
  /** A turn has its result. */
  | "turn_ended"
  /** The process works, but does not yet report on what. */
  | "working"
  /** The process is idle. */
  | "idle";

/**
 * Returns the own work that `message` reports, for a process that has not begun with a caller's prompt.
 *
 * When Claude Code takes up work, it reports `running`, then for a schedule the start of a command of its own, and then
 * the `init` message with which each turn begins. While agents run in the background, it never reports `idle`.
 */
export function ownWorkOf(message: SDKMessage): OwnWork | undefined {
  if (message.type === "result") return "turn_ended";
  const lifecycle = lifecycleOf(message);
  if (lifecycle !== undefined) return isScheduleStart(lifecycle) ? "schedule_began" : undefined;
  if (message.type !== "system") return undefined;
  switch (message.subtype) {
    case "task_notification":
      return "task_ended";
    case "init":
      return promptsOf(message) === undefined ? "turn_began" : undefined;
    case "session_state_changed":
      if (message.state === "idle") return "idle";
      return message.state === "running" ? "working" : undefined;
    default:
      return undefined;
  }
}

/** Whether `message` reports that a turn begins because a schedule came due. */
export function beginsSchedule(message: SDKMessage): boolean {
  const lifecycle = lifecycleOf(message);
  return lifecycle !== undefined && isScheduleStart(lifecycle);
}

function isScheduleStart({ state, wakeupSource }: Lifecycle): boolean {
  return state === "started" && wakeupSource !== undefined;
}

/** Whether `message` belongs to a turn that followed the end of a background task. */
function isOfTask(message: SDKMessage): boolean {
  return "origin" in message && message.origin?.kind === "task-notification";
}

/** The ids of the prompts that `message` says it answers. */
function promptsOf(message: SDKMessage): readonly unknown[] | undefined {
  if ("user_message_uuids" in message && Array.isArray(message.user_message_uuids)) return message.user_message_uuids;
  if ("user_message_uuid" in message && message.user_message_uuid !== undefined) return [message.user_message_uuid];
  return undefined;
}
