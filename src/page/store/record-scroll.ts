import { type Signal, signal } from "@preact/signals";
import type { SessionFeed } from "./session-feed.ts";

/** How near the end of the page a reader must be to follow what comes, in pixels. */
const NEAR_END = 120;

/** How near the first and the last event a reader must be to read further ones, in pixels. */
const AHEAD = 1_200;

/** Where a reader of a record is: at its end, or at some event, which stays where it is while others come and go. */
export class RecordScroll {
  /** Whether the end is not in sight. */
  readonly away: Signal<boolean> = signal(false);
  readonly #feed: SessionFeed;
  #section: HTMLElement | null = null;
  #anchor: { readonly id: string; readonly top: number } | undefined;
  /** The event that has been scrolled to. */
  #shown: number | undefined;
  #looking = false;

  constructor(feed: SessionFeed) {
    this.#feed = feed;
  }

  /** Follows the scrolling of the page. Returns how to stop. */
  watch(): () => void {
    const look = (): void => this.#lookSoon();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look, { passive: true });
    const head = document.querySelector<HTMLElement>(".session-head");
    const sizes = new ResizeObserver(() => {
      document.documentElement.style.setProperty("--session-head", `${head?.offsetHeight ?? 0}px`);
    });
    if (head !== null) sizes.observe(head);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
      sizes.disconnect();
    };
  }

  /** Notes where the reader is. To be called before the document changes. */
  beforeChange(section: HTMLElement | null): void {
    this.#anchor = section === null ? undefined : firstSeen(section);
  }

  /** Keeps the reader there. To be called after the document has changed. */
  afterChange(section: HTMLElement | null): void {
    this.#section = section;
    if (section === null || this.#feed.state.peek() !== "ready") return;
    if (!this.#showAsked()) {
      if (this.#feed.follows && this.#feed.timeline.peek().after === undefined) this.toEnd();
      else this.#keep();
    }
    this.#lookSoon();
  }

  /** Goes to the last event. */
  toEnd(): void {
    scrollTo(0, document.documentElement.scrollHeight);
  }

  /** Goes to the event that somebody asked for, once. */
  #showAsked(): boolean {
    const asked = this.#feed.asked.peek();
    if (asked === undefined || asked.number === this.#shown) {
      if (asked === undefined) this.#shown = undefined;
      return false;
    }
    const element = document.getElementById(`event-${asked.number}`)?.closest(".item");
    if (element === null || element === undefined) return false;
    this.#shown = asked.number;
    element.scrollIntoView({ block: "center" });
    return true;
  }

  #keep(): void {
    if (this.#anchor === undefined) return;
    const element = document.getElementById(this.#anchor.id);
    if (element !== null) scrollBy(0, element.getBoundingClientRect().top - this.#anchor.top);
  }

  #lookSoon(): void {
    if (this.#looking) return;
    this.#looking = true;
    requestAnimationFrame(() => {
      this.#looking = false;
      this.#look();
    });
  }

  /** Reads what the reader will see next. */
  #look(): void {
    const { scrollHeight } = document.documentElement;
    const { after } = this.#feed.timeline.peek();
    const toEnd = scrollHeight - innerHeight - scrollY;
    const isAtEnd = toEnd < NEAR_END;
    this.away.value = toEnd > innerHeight / 2;
    if (this.#feed.state.peek() !== "ready" || this.#section === null) return;
    this.#feed.follows = isAtEnd;
    const { top, bottom } = this.#section.getBoundingClientRect();
    if (after !== undefined && bottom < innerHeight + AHEAD) void this.#feed.readNewer();
    else if (top > -AHEAD) void this.#feed.readOlder();
  }
}

/** Returns the first event below the bars of the page, and where it is. */
function firstSeen(section: HTMLElement): { readonly id: string; readonly top: number } | undefined {
  const items = section.querySelectorAll<HTMLElement>(".record-list .item");
  let [first, end] = [0, items.length];
  while (first < end) {
    const middle = (first + end) >> 1;
    const item = items[middle];
    if (item === undefined) break;
    if (item.getBoundingClientRect().bottom < BARS) first = middle + 1;
    else end = middle;
  }
  const item = items[first];
  return item === undefined ? undefined : { id: item.id, top: item.getBoundingClientRect().top };
}

/** About the height of the bars above the events. */
const BARS = 170;
