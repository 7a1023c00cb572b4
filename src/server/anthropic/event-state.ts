import { withoutUndefined } from "../../fields.ts";
import type { EventJson, RecordedEvent } from "../../session/record/session-event-types.ts";

/** A permission request that nobody has answered. */
export interface Asked {
  readonly approvalId: string;
  readonly toolUseId: string;
}

/** A tool call without a result. */
export interface OpenTool {
  readonly name: string;
  /** When the event was recorded. */
  readonly at: number;
  readonly number: number;
  readonly turnId?: string;
  /** The tool call that started the subagent that calls. */
  readonly parent?: string;
  /** Whether its permission was asked for. */
  readonly isAsked: boolean;
  /** The name of the subagent that it starts. */
  readonly subagent?: string;
}

/** A subagent that works on after the answer to the call that started it. */
export interface BackgroundSubagent {
  readonly toolUseId: string;
  readonly name: string;
}

/** The tools that start a subagent. */
const STARTERS: ReadonlySet<string> = new Set(["Task", "Agent"]);

/** Returns the name of the subagent that a tool call starts, or undefined if it starts none. */
export function subagentOf({ name, input }: { readonly name: string; readonly input: EventJson }): string | undefined {
  if (!STARTERS.has(name)) return undefined;
  const named =
    typeof input === "object" && input !== null && "subagent_type" in input ? input["subagent_type"] : undefined;
  return typeof named === "string" ? named : "general-purpose";
}

/** What the translation of an event depends on besides the event. */
export interface EventState {
  /** The turn that runs, and the number of its last start. */
  readonly running?: { readonly turnId: string; readonly started: number };
  /** The unanswered permission requests, oldest first. */
  readonly asked: readonly Asked[];
  /** The tool calls without a result, by id. */
  readonly tools: ReadonlyMap<string, OpenTool>;
  /** The subagents that work in the background, by their task. */
  readonly background: ReadonlyMap<string, BackgroundSubagent>;
  /** When the last result of a tool arrived whose permission had been asked for. */
  readonly resumedAt: number;
}

export const NO_STATE: EventState = { asked: [], tools: new Map(), background: new Map(), resumedAt: 0 };

/** The types of events that change which turn runs. */
export const TURN_EVENTS: readonly RecordedEvent["type"][] = ["turn_started", "turn_retried", "turn_ended"];

/** The types of events that change which tools run, and which wait. */
export const TOOL_EVENTS: readonly RecordedEvent["type"][] = [
  "tool_use",
  "tool_result",
  "task_ended",
  "approval_requested",
  "approval_settled",
];

/** Returns the state after an event. */
export function after(state: EventState, event: RecordedEvent): EventState {
  switch (event.type) {
    case "turn_started":
      return { ...state, running: { turnId: event.turnId, started: event.number } };
    case "turn_retried":
    case "turn_ended":
      return over(state, event.turnId);
    case "tool_use": {
      const { name, at, number, turnId, parent } = event;
      const isAsked = state.asked.some(({ toolUseId }) => toolUseId === event.id);
      const tool = { name, at, number, isAsked, ...withoutUndefined({ turnId, parent, subagent: subagentOf(event) }) };
      return { ...state, tools: new Map(state.tools).set(event.id, tool) };
    }
    case "tool_result": {
      const tool = state.tools.get(event.toolUseId);
      if (tool === undefined) return state;
      const tools = new Map(state.tools);
      tools.delete(event.toolUseId);
      const background = withTask(state, event, tool.subagent);
      return { ...state, tools, background, resumedAt: tool.isAsked ? event.at : state.resumedAt };
    }
    case "task_ended": {
      if (!state.background.has(event.taskId)) return state;
      const background = new Map(state.background);
      background.delete(event.taskId);
      return { ...state, background };
    }
    case "approval_requested": {
      const toolUseId = toolUseOf(event);
      const tool = state.tools.get(toolUseId);
      const tools = tool === undefined ? state.tools : new Map(state.tools).set(toolUseId, { ...tool, isAsked: true });
      return { ...state, tools, asked: [...state.asked, { approvalId: event.id, toolUseId }] };
    }
    case "approval_settled":
      return { ...state, asked: state.asked.filter(({ approvalId }) => approvalId !== event.id) };
    default:
      return state;
  }
}

function withTask(
  { background }: EventState,
  { toolUseId, taskId }: Extract<RecordedEvent, { readonly type: "tool_result" }>,
  name: string | undefined,
): EventState["background"] {
  if (taskId === undefined || name === undefined) return background;
  return new Map(background).set(taskId, { toolUseId, name });
}

/** Returns the tool call of a permission request. Releases before the SDK told it used the request's id. */
export function toolUseOf({ id, toolUseId = id }: { readonly id: string; readonly toolUseId?: string }): string {
  return toolUseId;
}

/** Tools of subagents in the background outlive the turn. */
function over(state: EventState, turnId: string): EventState {
  const { running, ...rest } = state;
  const tools = [...state.tools].filter(([, tool]) => tool.turnId !== turnId || tool.parent !== undefined);
  return { ...rest, ...(running !== undefined && running.turnId !== turnId && { running }), tools: new Map(tools) };
}
