import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { countText } from "../store/format.ts";
import type { Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { itemsOf, type RecordItem } from "../store/record-items.ts";
import { RecordScroll } from "../store/record-scroll.ts";
import { type EventGroup, type RecordView, recordQuery, recordViewOf, typesOf } from "../store/record-view.ts";
import type { SessionFeed } from "../store/session-feed.ts";
import { plain, plainLines } from "../store/shown-name.ts";
import type { Timeline } from "../store/timeline.ts";
import type { ReadContent } from "./content-view.ts";
import { EmptyState } from "./empty-state.ts";
import { GrowingText } from "./markdown-text.ts";
import { RecordFilters } from "./record-filters.ts";
import { TimelineItem } from "./timeline-item.ts";

interface SessionRecordProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly feed: SessionFeed;
}

/** The record of a session as it is read and grows. It stays at its end if the reader is there. */
export function SessionRecord({ context, name, feed }: SessionRecordProps): View {
  const { query, path, hash } = context.navigation.place.value;
  const view = useMemo(() => recordViewOf(new URLSearchParams(query)), [query]);
  const timeline = feed.timeline.value;
  const section = useRef<HTMLElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const scroll = useMemo(() => new RecordScroll(feed), [feed]);
  const read = useMemo(() => {
    const session = context.link.client.session(name);
    return session.content.bind(session);
  }, [feed]);
  const items = useMemo(() => itemsOf(timeline.events, timeline.after === undefined), [timeline]);
  const asked = feed.asked.value;
  scroll.beforeChange(section.current);
  useLayoutEffect(() => feed.show(view), [view]);
  useLayoutEffect(() => {
    const number = Number(/^#event-(\d{1,10})$/.exec(hash)?.[1] ?? 0);
    if (number > 0) void feed.goTo(number);
  }, [hash]);
  useEffect(() => scroll.watch(), [scroll]);
  useLayoutEffect(() => {
    const { current: root } = list;
    if (root !== null)
      render(html`<${RecordList} context=${context} read=${read} items=${items} asked=${asked?.number} />`, root);
  }, [items, asked, feed.state.value]);
  useEffect(() => {
    const { current: root } = list;
    return () => {
      if (root !== null) render(null, root);
    };
  }, [feed.state.value]);
  useLayoutEffect(() => scroll.afterChange(section.current), [timeline, asked, feed.state.value]);
  const { value: state } = feed.state;
  if (state === "missing") {
    return html`<${EmptyState} icon="search" title="There is no such session" text="It has ended, or it is out of your reach." />`;
  }
  if (state === "failed") {
    return html`<${EmptyState} icon="warning" title="The record cannot be read" text=${plain(feed.failure.value)} />`;
  }
  const change = (changes: Partial<RecordView>): void =>
    context.navigation.go(path, recordQuery({ ...view, ...changes }, query), { replace: true, hash });
  const latest = async (): Promise<void> => {
    context.navigation.go(path, query, { replace: true });
    await feed.latest();
    scroll.toEnd();
  };
  return html`<section ref=${section} class="record" aria-labelledby="record-title">
    <h2 id="record-title" class="unseen">Record</h2>
    <${RecordFilters} view=${view} waiting=${feed.waiting.value} change=${change} />
    ${
      state === "loading"
        ? html`<${Loading} />`
        : html`
          <${Beginning} timeline=${timeline} />
          ${asked?.found === false && html`<p class="record-notice" role="status">Event ${countText(asked.number)} is not in the record: it is no longer kept, or has not happened yet.</p>`}
          <div ref=${list} class="record-list"></div>
          <${Writings} timeline=${timeline} view=${view} />
          ${items.length === 0 && timeline.writing.size === 0 && html`<${Nothing} timeline=${timeline} view=${view} change=${change} />`}
        `
    }
    <div class="record-end">
      ${(timeline.after !== undefined || scroll.away.value) && state === "ready" && html`<${LatestButton} waiting=${view.paused ? 0 : feed.waiting.value} latest=${latest} />`}
    </div>
  </section>`;
}

interface RecordListProps {
  readonly context: PageContext;
  readonly read: ReadContent;
  readonly items: readonly RecordItem[];
  readonly asked: number | undefined;
}

/**
 * The events. They are a root of their own: Preact keeps the first tree of a component that updates itself, and through it all items that
 * have ever been in it.
 */
function RecordList({ context, read, items, asked }: RecordListProps): View {
  return html`${items.map(
    (item) =>
      html`<${TimelineItem} key=${item.event.number} context=${context} read=${read} item=${item} asked=${isAsked(item, asked)} />`,
  )}`;
}

function isAsked(item: RecordItem, number: number | undefined): boolean {
  if (number === undefined) return false;
  return [item.event, item.result, item.settled].some((event) => event?.number === number);
}

function Loading(): View {
  return html`<div class="record-loading" role="status" aria-label="The record is being read">
    ${[64, 88, 40, 76, 52].map((width) => html`<span key=${width} style=${{ width: `${width}%` }}></span>`)}
  </div>`;
}

/** What is above the first event. Its height does not depend on it. */
function Beginning({ timeline: { before, events } }: { readonly timeline: Timeline }): View {
  const first = events[0]?.number;
  if (before === undefined && first === undefined) return null;
  const text = before === undefined ? "The record begins here" : "Older events are being read…";
  return html`<p class="record-top">${text}</p>`;
}

interface WritingsProps {
  readonly timeline: Timeline;
  readonly view: RecordView;
}

/** What is being written. */
function Writings({ timeline: { writing, after }, view }: WritingsProps): View {
  if (after !== undefined || !typesOf(view).includes("text")) return null;
  return html`${[...writing].map(
    ([
      block,
      { kind, text, parent },
    ]) => html`<article key=${block} class=${`item is-${kind} writing${parent === undefined ? "" : " of-subagent"}`} aria-busy="true">
      <header><b>${kind === "text" ? "Claude" : "Thinking"}</b></header>
      <div class="item-body">${kind === "text" ? html`<${GrowingText} text=${text} />` : html`<p class="thought">${plainLines(text.slice(-600))}</p>`}</div>
    </article>`,
  )}`;
}

interface NothingProps extends WritingsProps {
  readonly change: (changes: Partial<RecordView>) => void;
}

function Nothing({ timeline: { before, after }, view, change }: NothingProps): View {
  if (before !== undefined || (after !== undefined && !view.paused))
    return html`<p class="record-top" role="status">The record is being searched…</p>`;
  if (view.groups.length === 0 && !view.failed) {
    return html`<${EmptyState} icon="sessions" title="Nothing yet" text="The session has done nothing so far." />`;
  }
  const everything: readonly EventGroup[] = [];
  return html`<${EmptyState} icon="search" title=${view.failed ? "Nothing failed" : "No such events"} text="The filters leave out everything in this record.">
    <button class="button" type="button" onClick=${() => change({ groups: everything, failed: false })}>Show everything</button>
  <//>`;
}

function LatestButton({ waiting, latest }: { readonly waiting: number; readonly latest: () => Promise<void> }): View {
  return html`<button class="button latest" type="button" onClick=${latest}>
    ${waiting === 0 ? "Latest" : `Latest · ${countText(waiting)} new`}
  </button>`;
}
