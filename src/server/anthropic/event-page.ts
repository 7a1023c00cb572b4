import { type Clock, pause } from "../../clock.ts";
import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { resolve } from "./contents.ts";
import { NO_STATE, TOOL_EVENTS, TURN_EVENTS } from "./event-state.ts";
import { evaluationDue, needsLater, type PlacedEvent, placedEvents, type Window } from "./event-window.ts";
import { EventIds } from "./ids.ts";
import { pageToken } from "./page-token.ts";
import type { Place } from "./place.ts";
import { stateBefore } from "./record-state.ts";
import { type Sources, sourcesOf } from "./recorded-types.ts";
import type { SessionPort } from "./session-port.ts";
import type { Thread } from "./thread.ts";
import type { WireEvent } from "./wire-event.ts";

/** Which events to list. */
export interface EventListQuery {
  readonly order: "asc" | "desc";
  readonly limit: number;
  /** The place that the page begins after, in its order. Default: the first or the last event. */
  readonly place?: Place | undefined;
  /** Only events of these types. */
  readonly types?: readonly string[] | undefined;
  /** Whether events of this time belong to the list, in milliseconds since the epoch. */
  readonly isInTime: (at: number) => boolean;
  readonly thread: Thread;
}

/** A page of events. */
export interface EventPage {
  readonly data: readonly WireEvent[];
  readonly next_page: string | null;
}

/** How many recorded events to read at a time, and at most for one page. */
const FEWEST_READ = 32;
const MOST_READ = 256;
const MOST_FOR_PAGE = 2_048;

/** How many later events to search for what happened to a tool call. */
const LOOK_AHEAD = 64;

/** More than any recorded event has events on the wire. */
const ALL = 1_000;

/** Returns a page of a session's events, in time that does not depend on how many there are. */
export async function eventPage(port: SessionPort, clock: Clock, query: EventListQuery): Promise<EventPage> {
  const sources = sourcesOf(query.types);
  if (sources === undefined) return { data: [], next_page: null };
  const { limit, order } = query;
  const reading = new PageReading(port, clock, query, sources);
  const found: PlacedEvent[] = [];
  let place = query.place ?? { number: order === "asc" ? 0 : Number.MAX_SAFE_INTEGER, sub: 0 };
  let isAtEnd = false;
  for (let read = 0; read < MOST_FOR_PAGE && found.length <= limit && !isAtEnd; ) {
    const { events, placed } = await reading.read(place);
    found.push(...placed);
    read += Math.max(1, events.length);
    const last = events.at(order === "asc" ? -1 : 0);
    isAtEnd = last === undefined;
    if (last !== undefined) place = { number: last.number, sub: order === "asc" ? ALL : 0 };
  }
  const page = found.slice(0, limit);
  const end = found.length > limit ? page.at(-1)?.place : isAtEnd ? undefined : place;
  const data = await Promise.all(page.map(({ event }) => resolve(event, (one) => port.session.content(one))));
  return { data, next_page: end === undefined ? null : pageToken(end) };
}

class PageReading {
  readonly #port: SessionPort;
  readonly #clock: Clock;
  readonly #query: EventListQuery;
  readonly #sources: Sources;
  readonly #ids: EventIds;
  readonly #readAtOnce: number;
  #queued: ReadonlySet<string> | undefined;

  constructor(port: SessionPort, clock: Clock, query: EventListQuery, sources: Sources) {
    this.#port = port;
    this.#clock = clock;
    this.#query = query;
    this.#sources = sources;
    this.#ids = new EventIds(port.name);
    this.#readAtOnce = Math.min(MOST_READ, Math.max(FEWEST_READ, query.limit + 1));
  }

  /** Returns the recorded events that follow a place in the order of the list, and theirs on the wire in that order. */
  async read(place: Place): Promise<{ readonly events: readonly RecordedEvent[]; readonly placed: PlacedEvent[] }> {
    const { order, types, isInTime } = this.#query;
    const events = await this.#events(place);
    if (events.length === 0) return { events, placed: [] };
    const window = await this.#window(events);
    const wanted = placedEvents(window).filter(
      ({ event, place: own }) =>
        isAfter(own, place, order) &&
        (types?.includes(event.type) ?? true) &&
        isInTime(event.processed_at === null ? window.now : Date.parse(event.processed_at)),
    );
    return { events, placed: order === "asc" ? wanted : wanted.reverse() };
  }

  /** Reads recorded events, the lowest number first. The event of the place itself may have more on the wire. */
  async #events({ number, sub }: Place): Promise<readonly RecordedEvent[]> {
    const { session } = this.#port;
    const { types } = this.#sources;
    if (this.#query.order === "asc") {
      return await this.#after(sub === 0 || sub === ALL ? number : number - 1, types, this.#readAtOnce);
    }
    const before = Math.min(sub === 0 ? number : number + 1, LAST_NUMBER);
    return (await session.pastEvents({ before, types, limit: this.#readAtOnce })).toReversed();
  }

  async #after(
    after: number,
    types: readonly RecordedEvent["type"][],
    limit: number,
  ): Promise<readonly RecordedEvent[]> {
    const events: RecordedEvent[] = [];
    for await (const event of this.#port.session.events({ after, types, live: false })) {
      if (event.number !== undefined) events.push(event);
      if (events.length === limit) break;
    }
    return events;
  }

  async #window(events: readonly RecordedEvent[]): Promise<Window> {
    const { needsState } = this.#sources;
    const window = {
      events,
      state: needsState ? await stateBefore(this.#port, events[0]?.number ?? 0) : NO_STATE,
      later: [],
      queued: await this.#queuedTurns(events),
      ids: this.#ids,
      thread: this.#query.thread,
      now: this.#clock.now(),
    };
    if (!needsState || !needsLater(window)) return window;
    const later = await this.#later(events);
    const due = evaluationDue({ ...window, later });
    if (due === undefined) return { ...window, later };
    await pause(this.#clock, Math.max(0, due - window.now));
    return { ...window, later: await this.#later(events), now: this.#clock.now() };
  }

  async #later(events: readonly RecordedEvent[]): Promise<readonly RecordedEvent[]> {
    return await this.#after(events.at(-1)?.number ?? 0, [...TURN_EVENTS, ...TOOL_EVENTS], LOOK_AHEAD);
  }

  async #queuedTurns(events: readonly RecordedEvent[]): Promise<ReadonlySet<string>> {
    if (!events.some(({ type }) => type === "turn_accepted")) return new Set();
    this.#queued ??= await queuedTurns(this.#port);
    return this.#queued;
  }
}

/** The number of an event that comes after all others. */
const LAST_NUMBER = 2 ** 32;

/** Returns the ids of the turns that wait. */
export async function queuedTurns({ session }: SessionPort): Promise<ReadonlySet<string>> {
  const waiting = await session.turns({ state: "queued", limit: 1_000 });
  return new Set(waiting.map(({ id }) => id));
}

function isAfter(one: Place, other: Place, order: "asc" | "desc"): boolean {
  const difference = one.number - other.number || one.sub - other.sub;
  return order === "asc" ? difference > 0 : difference < 0;
}
