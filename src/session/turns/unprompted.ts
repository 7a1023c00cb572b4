import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { TurnOrigin } from "../../events.ts";
import { answersPrompt, lifecycleOf } from "../streams/current-turn.ts";

/** What Claude Code does by itself at a moment. */
export type Unprompted =
  /** Nothing. */
  | { readonly name: "none" }
  /** A task has ended, on which a turn follows, or the word that there is nothing to do. */
  | { readonly name: "expected" }
  /** The process says that it works, and not yet on what. */
  | { readonly name: "starting" }
  | { readonly name: "running"; readonly origin: Unbidden };

/** Who can have begun a turn that no caller asked for. */
export type Unbidden = Exclude<TurnOrigin, "caller">;

export type UnpromptedEvent =
  /** A background task has told that it has ended. */
  | { readonly type: "task_ended" }
  /** The process says that it works, while it has no prompt. */
  | { readonly type: "works" }
  | { readonly type: "begun"; readonly origin: Unbidden }
  /** Its turn has a result. */
  | { readonly type: "ended" }
  /** The process says that it has nothing to do, or has been silent for too long, or is gone. */
  | { readonly type: "rests" };

/** How far the prompt of a caller has come that the process has. */
export type PromptStage = "none" | "waits" | "begun";

/** What comes after `event`. What changes nothing leaves `state` as it is. */
export function nextUnprompted(state: Unprompted, event: UnpromptedEvent): Unprompted {
  switch (event.type) {
    case "task_ended":
      return state.name === "none" ? { name: "expected" } : state;
    case "works":
      return state.name === "none" || state.name === "expected" ? { name: "starting" } : state;
    case "begun":
      return state.name === "running" ? state : { name: "running", origin: event.origin };
    case "ended":
    case "rests":
      return state.name === "none" ? state : { name: "none" };
  }
}

/**
 * What `message` tells of what Claude Code does by itself, if it does.
 *
 * Claude Code says `running` when it takes up work, then, of a schedule, that it has started a command of its own, and then sends
 * the `init` message with which each turn begins. While agents run in the background it never says that it rests.
 *
 * @param stage how far the caller's prompt has come
 */
export function unpromptedEventOf(message: SDKMessage, stage: PromptStage): UnpromptedEvent | undefined {
  if (message.type === "system" && message.subtype === "task_notification") return { type: "task_ended" };
  if (stage === "begun") return undefined;
  if (message.type === "result") return { type: "ended" };
  const lifecycle = lifecycleOf(message);
  if (lifecycle !== undefined) {
    const scheduled = lifecycle.state === "started" && lifecycle.wakeupSource !== undefined;
    return scheduled ? { type: "begun", origin: "schedule" } : undefined;
  }
  if (message.type !== "system") return undefined;
  if (message.subtype === "init") {
    return answersPrompt(message) ? undefined : { type: "begun", origin: "task" };
  }
  if (message.subtype !== "session_state_changed") return undefined;
  if (message.state === "idle") return { type: "rests" };
  return stage === "none" && message.state === "running" ? { type: "works" } : undefined;
}
