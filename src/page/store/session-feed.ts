import { type Signal, signal } from "@preact/signals";
import { CastellanApiError } from "../../client/index.ts";
import type { SessionEvent } from "../../wire/event-types.ts";
import type { Name } from "./name.ts";
import type { ServerLink } from "./server-link.ts";
import { EMPTY_TIMELINE, type Timeline, withNew, withOlder } from "./timeline.ts";

/** The events of a page. */
const PAGE = 100;

/** New events are shown together, at most once in this time. */
const FLUSH_MS = 50;

/** Follows the record of a session. */
export class SessionFeed {
  readonly timeline: Signal<Timeline> = signal(EMPTY_TIMELINE);
  readonly state: Signal<"loading" | "ready" | "missing" | "failed"> = signal<
    "loading" | "ready" | "missing" | "failed"
  >("loading");
  readonly failure: Signal<string> = signal("");
  readonly readingOlder: Signal<boolean> = signal(false);
  readonly #link: ServerLink;
  readonly #name: Name;
  readonly #ends = new AbortController();
  #news: SessionEvent[] = [];
  #flushing: ReturnType<typeof setTimeout> | undefined;

  constructor(link: ServerLink, name: Name) {
    this.#link = link;
    this.#name = name;
  }

  /** Reads the last events, and follows. */
  async start(): Promise<void> {
    const { signal: ends } = this.#ends;
    const session = this.#link.client.session(this.#name);
    try {
      const { events, next } = await session.pastEvents({ limit: PAGE }, { signal: ends });
      this.timeline.value = withOlder(EMPTY_TIMELINE, events, next !== null);
      this.state.value = "ready";
      const after = events[0]?.number ?? 0;
      for await (const event of session.events({ after, deltas: true }, { signal: ends })) this.#take(event);
    } catch (error) {
      if (ends.aborted || !(error instanceof CastellanApiError) || error.status === 401) return;
      this.state.value = error.status === 404 ? "missing" : "failed";
      this.failure.value = error.message;
    }
  }

  /** Reads the page before the oldest event, unless that is under way. */
  async readOlder(): Promise<void> {
    const { events, older } = this.timeline.peek();
    const before = events[0]?.number;
    if (!older || before === undefined || this.readingOlder.peek()) return;
    this.readingOlder.value = true;
    try {
      const session = this.#link.client.session(this.#name);
      const page = await session.pastEvents({ before, limit: PAGE }, { signal: this.#ends.signal });
      this.timeline.value = withOlder(this.timeline.peek(), page.events, page.next !== null);
    } catch {
      // The next scroll tries again.
    } finally {
      this.readingOlder.value = false;
    }
  }

  /** Leaves the session. */
  stop(): void {
    clearTimeout(this.#flushing);
    this.#ends.abort();
  }

  #take(event: SessionEvent): void {
    this.#news.push(event);
    this.#flushing ??= setTimeout(() => {
      this.#flushing = undefined;
      const news = this.#news;
      this.#news = [];
      this.timeline.value = withNew(this.timeline.peek(), news);
    }, FLUSH_MS);
  }
}
