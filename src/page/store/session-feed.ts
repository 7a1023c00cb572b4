import { batch, type Signal, signal } from "@preact/signals";
import { CastellanApiError, type SessionClient } from "../../client/index.ts";
import type { EventPage, RecordedEvent, SessionEvent } from "../../wire/event-types.ts";
import type { Name } from "./name.ts";
import { Admission, type RecordView } from "./record-view.ts";
import type { ServerLink } from "./server-link.ts";
import { EMPTY_TIMELINE, MOST_EVENTS, type Timeline, withNew, withNewer, withOlder, written } from "./timeline.ts";

/** The events of a page. A search for failures reads more at a time. */
const PAGE = 100;
/** So many fill a screen. */
const FIRST_PAGE = 40;
const SEARCH_PAGE = 1_000;

/** New events are shown together, at most once in this time. */
const FLUSH_MS = 50;

/** More new events than these are not kept until they are shown: the last ones stay. */
const MOST_HELD = 2_000;

const EVERYTHING: RecordView = { groups: [], failed: false, paused: false };

/** Follows the record of a session, or shows an older part of it. */
export class SessionFeed {
  readonly timeline: Signal<Timeline> = signal(EMPTY_TIMELINE);
  readonly state: Signal<"loading" | "ready" | "missing" | "failed"> = signal<
    "loading" | "ready" | "missing" | "failed"
  >("loading");
  readonly failure: Signal<string> = signal("");
  /** How many new events wait, because the reader has paused or reads an older part. */
  readonly waiting: Signal<number> = signal(0);
  /** The number of an event that somebody asked for, and whether it is shown. */
  readonly asked: Signal<{ readonly number: number; readonly found: boolean } | undefined> = signal<
    { readonly number: number; readonly found: boolean } | undefined
  >(undefined);
  /** Whether the reader is at the end, and wants to stay there. */
  follows = true;

  readonly #session: SessionClient;
  readonly #ends = new AbortController();
  #view: RecordView = EVERYTHING;
  #admission = new Admission(EVERYTHING);
  /** The number of the last event that the server has told of. */
  #heard = 0;
  /** While paused: the number of the last event that is shown. */
  #until: number | undefined;
  /** The new events since they were last shown; those since a page was asked for stay until it comes. */
  #news: SessionEvent[] = [];
  #overflow = false;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  /** The number of times that another part of the record was asked for: answers of an earlier part are dropped. */
  #part = 0;
  #reading = false;
  #isStarted = false;

  constructor(link: ServerLink, name: Name) {
    this.#session = link.client.session(name);
  }

  /** Reads the last events, or those around the one that somebody asked for, and follows. */
  async start(): Promise<void> {
    const { signal: ends } = this.#ends;
    try {
      this.#isStarted = true;
      const [last] = await Promise.all([this.#session.pastEvents({ limit: 1 }, { signal: ends }), this.#open()]);
      const after = await this.#begin(last.events[0]?.number ?? 0);
      this.state.value = "ready";
      await this.#follow(this.#session.events({ after, deltas: true }, { signal: ends }));
    } catch (error) {
      if (ends.aborted || !(error instanceof CastellanApiError) || error.status === 401) return;
      this.state.value = error.status === 404 ? "missing" : "failed";
      this.failure.value = error.message;
    }
  }

  /** Returns the number after which to follow, so that nothing is missing behind what was read. @param last of the whole record */
  async #begin(last: number): Promise<number> {
    const timeline = this.timeline.peek();
    const newest = timeline.events.at(-1)?.number ?? 0;
    this.#heard = Math.max(last, newest);
    if (this.#view.paused) {
      this.#until = this.#heard;
      this.timeline.value = { ...timeline, after: timeline.after ?? newest };
    } else if (timeline.after === undefined) {
      // Both were read at once: events may lie between them, which the stream brings if they are few.
      if (last - newest < PAGE) return newest;
      await this.#open();
    }
    return this.#heard;
  }

  /** Shows another selection of the events. */
  show(view: RecordView): void {
    const { groups, failed, paused } = this.#view;
    const isSame = failed === view.failed && groups.join() === view.groups.join();
    this.#view = view;
    if (paused !== view.paused) this.#pause(view.paused);
    if (isSame) return;
    this.#admission = new Admission(view);
    if (this.#isStarted) void this.#open();
  }

  /** Shows the part of the record with an event. */
  async goTo(number: number): Promise<void> {
    const found = this.timeline.peek().events.some((event) => event.number === number);
    this.asked.value = { number, found };
    this.follows = false;
    if (!found && this.#isStarted) await this.#open();
  }

  /** Shows the end of the record. */
  async latest(): Promise<void> {
    this.asked.value = undefined;
    this.follows = true;
    if (this.timeline.peek().after !== undefined) await this.#open();
  }

  /** Reads the page before the oldest event, unless that is under way. */
  async readOlder(): Promise<void> {
    const { before } = this.timeline.peek();
    if (before === undefined) return;
    await this.#read(async () => {
      const { events, next } = await this.#page({ before });
      return (timeline) => withOlder(timeline, this.#admission.admit(events.toReversed()), next);
    });
  }

  /** Reads the page after the newest event, unless that is under way or new events wait. */
  async readNewer(): Promise<void> {
    const { after } = this.timeline.peek();
    const until = this.#until;
    if (after === undefined || (until !== undefined && after >= until)) return;
    await this.#read(async () => {
      const { events, next } = await this.#page({ after });
      const shown = this.#admission.admit(
        until === undefined ? events : events.filter(({ number }) => number <= until),
      );
      return (timeline) => withNewer(timeline, shown, this.#endOf(next));
    });
  }

  /** Leaves the session. */
  stop(): void {
    clearTimeout(this.#flushing);
    this.#ends.abort();
  }

  #pause(paused: boolean): void {
    if (!this.#isStarted) return;
    this.#until = paused ? this.#heard : undefined;
    if (paused) {
      this.#flush();
      const timeline = this.timeline.peek();
      this.timeline.value = { ...timeline, after: timeline.after ?? timeline.events.at(-1)?.number ?? 0 };
    } else if (this.waiting.peek() > MOST_EVENTS) void this.latest();
    else void this.readNewer();
  }

  /** The number after which newer events are read, if not all have been. */
  #endOf(next: number | null): number | undefined {
    if (this.#until !== undefined) return Math.min(next ?? this.#until, this.#until);
    // Too many new events have come to keep them until the page came.
    return next ?? (this.#overflow ? this.#heard : undefined);
  }

  /** Reads the end of the record, or what is around the event that was asked for. */
  async #open(): Promise<void> {
    this.#part += 1;
    this.#reading = false;
    const number = this.asked.peek()?.number;
    await this.#read(async () => (number === undefined ? await this.#lastPart() : await this.#partAround(number)));
  }

  async #lastPart(): Promise<(timeline: Timeline) => Timeline> {
    const until = this.#until;
    const before = until === undefined ? undefined : until + 1;
    const { events, next } = await this.#page({ before, limit: FIRST_PAGE });
    const shown = this.#admission.admit(events.toReversed());
    return ({ writing }) => ({ events: shown, before: next ?? undefined, after: this.#endOf(null), writing });
  }

  async #partAround(number: number): Promise<(timeline: Timeline) => Timeline> {
    const [older, exact, newer] = await Promise.all([
      this.#page({ before: number, limit: PAGE / 2 }),
      this.#session.pastEvents({ before: number + 1, limit: 1 }, { signal: this.#ends.signal }),
      this.#page({ after: number, limit: PAGE / 2 }),
    ]);
    // The event is shown even if the view leaves out its kind.
    const asked = exact.events.filter((event) => event.number === number);
    const events = [
      ...this.#admission.admit(older.events.toReversed()),
      ...asked,
      ...this.#admission.admit(newer.events),
    ];
    return ({ writing }) => {
      this.asked.value = { number, found: asked.length > 0 };
      return { events, before: older.next ?? undefined, after: this.#endOf(newer.next), writing };
    };
  }

  async #page(query: { before?: number | undefined; after?: number; limit?: number }): Promise<EventPage> {
    const { types } = this.#admission;
    const limit = this.#view.failed ? SEARCH_PAGE : (query.limit ?? PAGE);
    return await this.#session.pastEvents({ types, ...query, limit }, { signal: this.#ends.signal });
  }

  /** Changes the timeline by what is read, one page at a time. Events that come meanwhile are added behind it. */
  async #read(read: () => Promise<(timeline: Timeline) => Timeline>): Promise<void> {
    if (this.#reading) return;
    const part = this.#part;
    this.#flush();
    this.#reading = true;
    this.#overflow = false;
    try {
      const change = await read();
      if (part !== this.#part) return;
      this.#reading = false;
      batch(() => {
        this.timeline.value = change(this.timeline.peek());
        if (this.timeline.peek().after === undefined) this.waiting.value = 0;
        this.#flush();
      });
    } catch (error) {
      if (part === this.#part) this.#reading = false;
      // Later pages are asked for again by the next scroll.
      if (this.state.peek() === "loading") throw error;
    }
  }

  async #follow(stream: AsyncIterable<SessionEvent>): Promise<void> {
    for await (const event of stream) {
      if ("v" in event) this.#heard = event.number;
      this.#news.push(event);
      if (this.#news.length > MOST_HELD) this.#drop();
      this.#flushing ??= setTimeout(() => this.#flush(), FLUSH_MS);
    }
  }

  /** Makes room for new events. */
  #drop(): void {
    if (!this.#reading) {
      this.#flush();
      return;
    }
    // The page that is under way ends before them.
    this.#overflow = true;
    this.#absorb(this.#news.splice(0));
  }

  /** Shows the new events. */
  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    if (this.#reading) return;
    const news = this.#news.splice(0);
    if (news.length > 0) this.#absorb(news);
  }

  #absorb(news: readonly SessionEvent[]): void {
    const recorded = this.#admission.admit(news.filter((event): event is RecordedEvent => "v" in event));
    let timeline = this.timeline.peek();
    // Somebody reads what would have to go.
    const isFull = !this.follows && timeline.events.length + recorded.length > MOST_EVENTS;
    if (timeline.after === undefined && (isFull || this.#overflow)) {
      timeline = { ...timeline, after: timeline.events.at(-1)?.number ?? 0 };
    }
    batch(() => {
      if (timeline.after !== undefined) {
        const seen = this.#until ?? timeline.after;
        this.waiting.value += recorded.filter(({ number }) => number > seen).length;
      }
      this.timeline.value = { ...withNew(timeline, recorded), writing: written(timeline.writing, news) };
    });
  }
}
