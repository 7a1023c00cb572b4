import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { Icon } from "../parts/icon.ts";
import { PromptBox } from "../parts/prompt-box.ts";
import { SessionMenu } from "../parts/session-menu.ts";
import { StateBadge } from "../parts/state-badge.ts";
import { TimelineItem } from "../parts/timeline-item.ts";
import { reasonOf } from "../store/fleet-row.ts";
import { bytesText, plural, timeText } from "../store/format.ts";
import { keyOf, type Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { SessionFeed } from "../store/session-feed.ts";
import { plain, plainLines, shownName } from "../store/shown-name.ts";
import { resultsOf } from "../store/timeline.ts";

/** How near the end of the page a reader must be to follow what comes, in pixels. */
const NEAR_END = 160;

/** What a session saw and did, live. */
export function SessionPage({ context, name }: { readonly context: PageContext; readonly name: Name }): View {
  const { fleet, link, navigation } = context;
  const feed = useMemo(() => new SessionFeed(link, name), []);
  useEffect(() => {
    void feed.start();
    // A session that its template has evicted is not in the list.
    fleet.touch(name);
    return () => feed.stop();
  }, []);
  const info = fleet.rows.value.get(keyOf(name))?.info;
  const reason = info === undefined ? undefined : reasonOf(info, (at) => timeText(at, fleet.now.value));
  const { status } = info ?? {};
  const facts = [
    status?.pid === undefined ? undefined : `process ${status.pid}`,
    status?.memoryBytes === undefined ? undefined : bytesText(status.memoryBytes),
    status === undefined || status.restarts === 0 ? undefined : plural(status.restarts, "restart"),
    status === undefined || status.mailbox === 0 ? undefined : `${plural(status.mailbox, "turn")} waiting`,
  ].filter((fact) => fact !== undefined);
  return html`<div class="session">
    <header class="session-head">
      <a class="icon-button" href=${navigation.href("/")} aria-label="Back to all sessions"><${Icon} name="back" /></a>
      <div class="session-title">
        <h1 tabindex="-1">${shownName(name)}</h1>
        <p>
          ${info !== undefined && html`<${StateBadge} state=${info.state} />`}
          ${info?.title !== undefined && html`<span>${plain(info.title)}</span>`}
          ${facts.map((fact) => html`<span key=${fact}>${fact}</span>`)}
          ${reason !== undefined && html`<span class="warn">${reason}</span>`}
        </p>
      </div>
      ${info !== undefined && html`<${SessionMenu} context=${context} session=${info} />`}
    </header>
    <${Record} context=${context} name=${name} feed=${feed} />
    ${feed.state.value === "ready" && html`<${PromptBox} context=${context} name=${name} busy=${status?.turn !== undefined} />`}
  </div>`;
}

interface RecordProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly feed: SessionFeed;
}

function Record({ context, name, feed }: RecordProps): View {
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
