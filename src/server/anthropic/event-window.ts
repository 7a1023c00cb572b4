import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { after, type EventState } from "./event-state.ts";
import type { EventIds } from "./ids.ts";
import { evaluatedAt } from "./permission.ts";
import type { Place } from "./place.ts";
import { type Thread, translateFor } from "./thread.ts";
import type { WireEvent } from "./wire-event.ts";

/** An event of the wire, and the place after it. */
export interface PlacedEvent {
  readonly place: Place;
  readonly event: WireEvent;
}

/** Consecutive recorded events, and what their translation depends on. */
export interface Window {
  readonly events: readonly RecordedEvent[];
  /** Before the first event. */
  readonly state: EventState;
  /** Events after the window that tell of the tool calls in it. */
  readonly later: readonly RecordedEvent[];
  /** The turns that wait. */
  readonly queued: ReadonlySet<string>;
  readonly ids: EventIds;
  readonly thread: Thread;
  /** In milliseconds since the epoch. */
  readonly now: number;
}

/** Returns the events of a window for the wire, in order. Omits tool calls whose permission is not evaluated yet. */
export function placedEvents(window: Window): PlacedEvent[] {
  const { events, queued, ids, thread } = window;
  const asked = askedIn(window);
  const open = openTools(window);
  let { state } = window;
  return events.flatMap((event) => {
    const id = event.type === "tool_use" ? event.id : undefined;
    const isQueued = event.turnId !== undefined && queued.has(event.turnId);
    const isAsked = id !== undefined && asked.has(id);
    const translated = translateFor(thread, { event, state, ids, isQueued, isAsked });
    state = after(state, event);
    if (id !== undefined && open.has(id) && !isAsked) return [];
    return translated.map((wire, index) => ({ place: { number: event.number, sub: index + 1 }, event: wire }));
  });
}

/** Returns when the permissions of all tool calls in the window count as evaluated, if one of them does not yet. */
export function evaluationDue(window: Window): number | undefined {
  const due = [...openTools(window).values()].filter((at): at is number => typeof at === "number");
  return due.length === 0 ? undefined : Math.max(...due);
}

/** Returns the tool calls in the window whose permission is not evaluated, and when it will be. */
function openTools({ events, later, state, now }: Window): Map<string, number | "later"> {
  const end = [...events, ...later].reduce(after, state);
  const inWindow = new Set(events.flatMap((event) => (event.type === "tool_use" ? [event.id] : [])));
  const open = new Map<string, number | "later">();
  for (const [id, tool] of end.tools) {
    if (!inWindow.has(id)) continue;
    const at = evaluatedAt(tool, end);
    if (at === "later" || (at !== "now" && at > now)) open.set(id, at);
  }
  return open;
}

function askedIn({ events, later }: Window): Set<string> {
  const all = [...events, ...later];
  return new Set(all.flatMap((event) => (event.type === "approval_requested" ? [event.toolUseId ?? event.id] : [])));
}

/** Whether the window has tool calls whose permission only later events tell. */
export function needsLater({ events }: Pick<Window, "events">): boolean {
  const known = new Set(
    events.flatMap((event) =>
      event.type === "approval_requested" || event.type === "tool_result" ? [event.toolUseId ?? ""] : [],
    ),
  );
  return events.some((event) => event.type === "tool_use" && !known.has(event.id));
}
