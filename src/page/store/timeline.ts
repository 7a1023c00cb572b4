import type { EventText, LiveEvent, RecordedEvent, SessionEvent } from "../../wire/event-types.ts";

/** Part of the record of a session, without gaps, and what is being written. */
export interface Timeline {
  /** By number. */
  readonly events: readonly RecordedEvent[];
  /** The texts and thoughts that are being written, by block. */
  readonly writing: ReadonlyMap<string, { readonly kind: "text" | "thinking"; readonly text: string }>;
  /** Whether there are older events. */
  readonly older: boolean;
}

export const EMPTY_TIMELINE: Timeline = { events: [], writing: new Map(), older: false };

/** The most events that are kept while new ones come. Older ones are read again when somebody scrolls to them. */
const MOST_EVENTS = 2_000;

/** Returns the timeline with a page of older events, the newest first as the server sends them. */
export function withOlder(timeline: Timeline, page: readonly RecordedEvent[], more: boolean): Timeline {
  const oldest = timeline.events[0]?.number ?? Number.POSITIVE_INFINITY;
  const before = page.filter(({ number }) => number < oldest).toReversed();
  return { ...timeline, events: [...before, ...timeline.events], older: more };
}

/** Returns the timeline after new events. Ignores those that it has. */
export function withNew(timeline: Timeline, news: readonly SessionEvent[]): Timeline {
  const events = [...timeline.events];
  const writing = new Map(timeline.writing);
  let last = events.at(-1)?.number ?? 0;
  for (const event of news) {
    if (!("v" in event)) {
      write(writing, event);
      continue;
    }
    if (event.number <= last) continue;
    last = event.number;
    events.push(event);
    settle(writing, event);
  }
  const dropped = events.length > MOST_EVENTS;
  return {
    events: dropped ? events.slice(-MOST_EVENTS) : events,
    writing,
    older: timeline.older || dropped,
  };
}

type Writing = Map<string, { readonly kind: "text" | "thinking"; readonly text: string }>;

function write(writing: Writing, event: LiveEvent): void {
  if (event.type !== "text_delta" && event.type !== "thinking_delta") return;
  const kind = event.type === "text_delta" ? "text" : "thinking";
  const before = writing.get(event.block)?.text ?? "";
  writing.set(event.block, { kind, text: before + event.text });
}

/** Takes away what an event replaces. */
function settle(writing: Writing, event: RecordedEvent): void {
  if (event.type === "text" || event.type === "thinking") writing.delete(event.block);
  else if (event.type === "turn_retried" || event.type === "turn_ended" || event.type === "exit") writing.clear();
}

/** The result of a tool, by the id of its use. */
export function resultsOf(
  events: readonly RecordedEvent[],
): ReadonlyMap<string, Extract<RecordedEvent, { type: "tool_result" }>> {
  return new Map(events.flatMap((event) => (event.type === "tool_result" ? [[event.toolUseId, event]] : [])));
}

/** Returns a text, or what stands for one that is too long to be in the event. */
export function shortOf(text: EventText): string {
  return typeof text === "string" ? text : `${Math.round(text.size / 1_000)} kB of ${text.mediaType}`;
}
