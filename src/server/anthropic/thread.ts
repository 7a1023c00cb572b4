import { type BackgroundSubagent, subagentOf } from "./event-state.ts";
import { type Translated, timeOf, translate } from "./event-translation.ts";
import type { WireEvent } from "./wire-event.ts";

/** The session's own thread, or the tool call that started a subagent. */
export type Thread = "primary" | { readonly toolUseId: string };

/** Returns what the readers of a thread see of an event. */
export function translateFor(thread: Thread, translated: Translated): WireEvent[] {
  const { event, isAsked } = translated;
  const parent = event.parent;
  if (thread !== "primary") {
    return parent === thread.toolUseId ? translate(translated).map(onItsOwnThread) : [];
  }
  if (parent === undefined) return [...translate(translated), ...threadEvents(translated)];
  // The client answers for subagents on the session's own stream.
  return event.type === "tool_use" && isAsked ? translate(translated) : [];
}

function onItsOwnThread(event: WireEvent): WireEvent {
  if (!("session_thread_id" in event)) return event;
  const { session_thread_id: _, ...own } = event;
  return own as WireEvent;
}

function threadEvents({ event, ids, state }: Translated): WireEvent[] {
  const processed_at = timeOf(event.at);
  if (event.type === "tool_use") {
    const agent_name = subagentOf(event);
    if (agent_name === undefined) return [];
    const common = { session_thread_id: ids.thread(event.id), agent_name, processed_at };
    return [
      { id: ids.numbered(event.number, "t"), type: "session.thread_created", workflow_run_id: null, ...common },
      { id: ids.numbered(event.number, "u"), type: "session.thread_status_running", ...common },
    ];
  }
  const ended = endedSubagent({ event, state });
  if (ended === undefined) return [];
  return [
    {
      id: ids.numbered(event.number, "t"),
      type: "session.thread_status_idle",
      session_thread_id: ids.thread(ended.toolUseId),
      agent_name: ended.name,
      stop_details: null,
      stop_reason: { type: "end_turn" },
      processed_at,
    },
  ];
}

/** Returns the subagent that an event ends: with the answer to its call, or, in the background, with its task. */
function endedSubagent({ event, state }: Pick<Translated, "event" | "state">): BackgroundSubagent | undefined {
  if (event.type === "task_ended") return state.background.get(event.taskId);
  if (event.type !== "tool_result" || event.taskId !== undefined) return undefined;
  const name = state.tools.get(event.toolUseId)?.subagent;
  return name === undefined ? undefined : { toolUseId: event.toolUseId, name };
}
