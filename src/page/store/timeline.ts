import type { LiveEvent, RecordedEvent, SessionEvent } from "../../wire/event-types.ts";

/** A text or a thought that is being written. */
export interface Writing {
  readonly kind: "text" | "thinking";
  readonly text: string;
  readonly parent: string | undefined;
}

/** Part of the record of a session, and what is being written. */
export interface Timeline {
  /** The shown events, by number. */
  readonly events: readonly RecordedEvent[];
  /** The number before which older events are read; undefined if there are none. */
  readonly before: number | undefined;
  /** The number after which newer events are read; undefined if new events are appended as they come. */
  readonly after: number | undefined;
  /** The texts and thoughts that are being written, by block. */
  readonly writing: ReadonlyMap<string, Writing>;
}

export const EMPTY_TIMELINE: Timeline = { events: [], before: undefined, after: undefined, writing: new Map() };

/** The most events that are kept, and so are in the document. Others are read again when somebody scrolls to them. */
export const MOST_EVENTS = 500;

/** New events are removed at the other end in steps, so that the end does not move with each of them. */
const STEP = 100;

/** Returns the timeline with a page of older events. @param next the number before which still older ones are read */
export function withOlder(timeline: Timeline, page: readonly RecordedEvent[], next: number | null): Timeline {
  const events = joined(page, timeline.events);
  const kept = events.slice(0, MOST_EVENTS);
  const cut = kept.length < events.length;
  return { ...timeline, events: kept, before: next ?? undefined, after: cut ? lastOf(kept) : timeline.after };
}

/** Returns the timeline with a page of newer events. @param next the number after which still newer ones are read */
export function withNewer(timeline: Timeline, page: readonly RecordedEvent[], next: number | undefined): Timeline {
  return withoutOldest({ ...timeline, events: joined(timeline.events, page), after: next }, MOST_EVENTS);
}

/** Returns the timeline after new events, if it follows them; otherwise only with what is being written. */
export function withNew(timeline: Timeline, news: readonly RecordedEvent[]): Timeline {
  if (timeline.after !== undefined || news.length === 0) return timeline;
  return withoutOldest({ ...timeline, events: joined(timeline.events, news) }, MOST_EVENTS + STEP);
}

function withoutOldest(timeline: Timeline, most: number): Timeline {
  if (timeline.events.length <= most) return timeline;
  const events = timeline.events.slice(-MOST_EVENTS);
  return { ...timeline, events, before: events[0]?.number };
}

/** Returns both, each event once, by number. */
function joined(one: readonly RecordedEvent[], other: readonly RecordedEvent[]): readonly RecordedEvent[] {
  const [last, first] = [lastOf(one), other[0]?.number];
  if (last === undefined || first === undefined || last < first) return [...one, ...other];
  const all = new Map([...one, ...other].map((event) => [event.number, event]));
  return [...all.values()].sort((earlier, later) => earlier.number - later.number);
}

function lastOf(events: readonly RecordedEvent[]): number | undefined {
  return events.at(-1)?.number;
}

/** Returns what is being written after some events: deltas grow until their event comes. */
export function written(
  before: ReadonlyMap<string, Writing>,
  news: readonly SessionEvent[],
): ReadonlyMap<string, Writing> {
  const writing = new Map(before);
  for (const event of news) {
    if (!("v" in event)) write(writing, event);
    else if (event.type === "text" || event.type === "thinking") writing.delete(event.block);
    else if (event.type === "turn_retried" || event.type === "turn_ended" || event.type === "exit") writing.clear();
  }
  return writing;
}

function write(writing: Map<string, Writing>, event: LiveEvent): void {
  if (event.type !== "text_delta" && event.type !== "thinking_delta") return;
  const kind = event.type === "text_delta" ? "text" : "thinking";
  const before = writing.get(event.block)?.text ?? "";
  writing.set(event.block, { kind, text: before + event.text, parent: event.parent });
}
