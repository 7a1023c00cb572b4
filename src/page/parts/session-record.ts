import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import type { SessionFeed } from "../store/session-feed.ts";
import { plain, plainLines } from "../store/shown-name.ts";
import { resultsOf } from "../store/timeline.ts";
import { EmptyState } from "./empty-state.ts";
import { TimelineItem } from "./timeline-item.ts";

/** How near the end of the page a reader must be to follow what comes, in pixels. */
const NEAR_END = 160;

interface SessionRecordProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly feed: SessionFeed;
}

/** The record of a session as it is read and grows. It stays at its end if the reader is there. */
export function SessionRecord({ context, name, feed }: SessionRecordProps): View {
  const { events, writing, older } = feed.timeline.value;
  const top = useRef<HTMLDivElement>(null);
  const before = useRef({ height: 0, first: 0, follows: true });
  const results = useMemo(() => resultsOf(events), [events]);
  useEffect(() => {
    const watcher = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting === true) void feed.readOlder();
      },
      { rootMargin: "600px" },
    );
    if (top.current !== null) watcher.observe(top.current);
    const scrolled = (): void => {
      before.current.follows = innerHeight + scrollY > document.documentElement.scrollHeight - NEAR_END;
    };
    addEventListener("scroll", scrolled, { passive: true });
    return () => {
      watcher.disconnect();
      removeEventListener("scroll", scrolled);
    };
  }, [feed.state.value]);
  useLayoutEffect(() => {
    const height = document.documentElement.scrollHeight;
    const first = events[0]?.number ?? 0;
    const { height: was, first: wasFirst, follows } = before.current;
    // Older events push what somebody reads down by their height.
    if (first < wasFirst) scrollBy(0, height - was);
    else if (follows) scrollTo(0, height);
    before.current = { height, first, follows };
  }, [events, writing]);
  const { value: state } = feed.state;
  if (state === "loading") return html`<p class="quiet loading" role="status">The record is being read…</p>`;
  if (state === "missing") {
    return html`<${EmptyState} icon="search" title="There is no such session" text="It has ended, or it is out of your reach." />`;
  }
  if (state === "failed")
    return html`<${EmptyState} icon="warning" title="The record cannot be read" text=${plain(feed.failure.value)} />`;
  return html`<section class="record" aria-label="Record">
    <div ref=${top} class="record-top">${older && "Older events are being read…"}</div>
    ${events.length === 0 && writing.size === 0 && html`<${EmptyState} icon="sessions" title="Nothing yet" text="The session has done nothing so far." />`}
    ${events.map(
      (event) => html`<${TimelineItem}
        key=${event.number}
        context=${context}
        name=${name}
        event=${event}
        result=${event.type === "tool_use" ? results.get(event.id) : undefined}
      />`,
    )}
    ${[...writing].map(
      ([block, { kind, text }]) => html`<article key=${block} class=${`item is-${kind} writing`} aria-busy="true">
        <header><b>${kind === "text" ? "Claude" : "Thinking"}</b></header>
        <div class="item-body"><div class="words">${plainLines(text)}</div></div>
      </article>`,
    )}
  </section>`;
}
