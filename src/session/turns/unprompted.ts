import type { OwnWork } from "../../claude/messages/lifecycle.ts";
import type { TurnOrigin } from "../../events.ts";

/** The state of Claude Code's own work. */
export type Unprompted =
  /** No work. */
  | { readonly name: "none" }
  /** A task ended; a turn or an idle report follows. */
  | { readonly name: "expected" }
  /** The process reports that it works, but not yet on what. */
  | { readonly name: "starting" }
  | { readonly name: "running"; readonly origin: UnpromptedOrigin };

/** The origin of a turn that no caller asked for. */
export type UnpromptedOrigin = Exclude<TurnOrigin, "caller">;

export type UnpromptedEvent =
  /** A background task reported its end. */
  | { readonly type: "task_ended" }
  /** The process reports that it works, and it has no prompt. */
  | { readonly type: "works" }
  | { readonly type: "begun"; readonly origin: UnpromptedOrigin }
  /** The turn has a result. */
  | { readonly type: "ended" }
  /** The process reports that it is idle, was silent for too long, or is gone. */
  | { readonly type: "idle" };

/** How far the process is with a caller's prompt. */
export type PromptStage = "none" | "waits" | "begun";

/** Returns the state after `event`. An event that does not apply leaves `state` unchanged. */
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
 * @param stage how far the process is with the caller's prompt
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
