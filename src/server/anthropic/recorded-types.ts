import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { TOOL_EVENTS, TURN_EVENTS } from "./event-state.ts";
import type { WireEventType } from "./wire-event.ts";

type RecordedType = RecordedEvent["type"];

/** The recorded events that an event of the wire comes from. */
const SOURCES: { readonly [Type in WireEventType]: readonly RecordedType[] } = {
  "user.message": ["turn_accepted", "steered"],
  "user.interrupt": ["noted"],
  "user.tool_confirmation": ["approval_settled"],
  "user.custom_tool_result": ["approval_settled"],
  "agent.message": ["text"],
  "agent.thinking": ["thinking"],
  "agent.tool_use": ["tool_use"],
  "agent.mcp_tool_use": ["tool_use"],
  "agent.custom_tool_use": ["tool_use"],
  "agent.tool_result": ["tool_result"],
  "agent.mcp_tool_result": ["tool_result"],
  "agent.thread_context_compacted": ["compacted"],
  "session.status_running": ["turn_started", "approval_settled"],
  "session.status_idle": ["turn_ended", "approval_requested", "approval_settled"],
  "session.status_rescheduled": ["turn_retried"],
  "session.status_terminated": ["noted"],
  "session.deleted": [],
  "session.updated": ["noted"],
  "session.usage": [],
  "session.error": ["turn_ended", "turn_retried", "quarantined", "fault"],
  "session.thread_created": ["tool_use"],
  "session.thread_status_running": ["tool_use"],
  "session.thread_status_idle": ["tool_result", "task_ended"],
  "span.model_request_start": ["turn_started"],
  "span.model_request_end": ["turn_ended", "turn_retried"],
};

/** The events that depend on nothing but the recorded event. */
const STATELESS: ReadonlySet<string> = new Set<WireEventType>([
  "user.message",
  "user.interrupt",
  "agent.message",
  "agent.thinking",
  "agent.thread_context_compacted",
  "session.status_rescheduled",
  "session.status_terminated",
  "session.updated",
  "session.error",
]);

/** The recorded events that any event of the wire comes from. */
export const ALL_SOURCES: readonly RecordedType[] = [
  ...new Set([...Object.values(SOURCES).flat(), ...TURN_EVENTS, ...TOOL_EVENTS]),
];

/** Which recorded events to read. */
export interface Sources {
  readonly types: readonly RecordedType[];
  /** Whether the translation depends on the state. */
  readonly needsState: boolean;
}

/** Returns the recorded events to read for these events of the wire, or undefined if none of them is recorded. */
export function sourcesOf(types: readonly string[] | undefined): Sources | undefined {
  if (types === undefined) return { types: ALL_SOURCES, needsState: true };
  const known = types.flatMap((type): readonly RecordedType[] => (isWireType(type) ? SOURCES[type] : []));
  if (known.length === 0) return undefined;
  const needsState = !types.every((type) => STATELESS.has(type));
  return { types: [...new Set([...known, ...(needsState ? [...TURN_EVENTS, ...TOOL_EVENTS] : [])])], needsState };
}

function isWireType(type: string): type is WireEventType {
  return Object.hasOwn(SOURCES, type);
}
