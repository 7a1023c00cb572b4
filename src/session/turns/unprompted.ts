import type { OwnWork } from "../../claude/messages/lifecycle.ts";
import type { TurnOrigin } from "../../events.ts";

/** What Claude Code does by itself at a moment. */
export type Unprompted =
  /** Nothing. */
  | { readonly name: "none" }
  /** A task has ended, on which a turn follows, or the word that there is nothing to do. */
  | { readonly name: "expected" }
  /** The process says that it works, and not yet on what. */
  | { readonly name: "starting" }
  | { readonly name: "running"; readonly origin: UnpromptedOrigin };

/** Who can have begun a turn that no caller asked for. */
export type UnpromptedOrigin = Exclude<TurnOrigin, "caller">;

export type UnpromptedEvent =
  /** A background task has told that it has ended. */
  | { readonly type: "task_ended" }
  /** The process says that it works, while it has no prompt. */
  | { readonly type: "works" }
  | { readonly type: "begun"; readonly origin: UnpromptedOrigin }
  /** Its turn has a result. */
  | { readonly type: "ended" }
  /** The process says that it has nothing to do, or has been silent for too long, or is gone. */
  | { readonly type: "idle" };

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
    case "idle":
      return state.name === "none" ? state : { name: "none" };
  }
}

/**
 * Returns the event that follows from what the process reports; `undefined` if it changes nothing.
 *
 * @param stage how far the caller's prompt has come
 */
export function unpromptedEventOf(work: OwnWork, stage: PromptStage): UnpromptedEvent | undefined {
  if (work === "task_ended") return { type: "task_ended" };
  if (stage === "begun") return undefined;
  switch (work) {
    case "turn_ended":
      return { type: "ended" };
    case "schedule_began":
      return { type: "begun", origin: "schedule" };
    case "turn_began":
      return { type: "begun", origin: "task" };
    case "idle":
      return { type: "idle" };
    case "working":
      return stage === "none" ? { type: "works" } : undefined;
  }
}
