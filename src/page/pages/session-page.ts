import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { DetailsPanel } from "../parts/details-panel.ts";
import { Icon } from "../parts/icon.ts";
import { PromptBox } from "../parts/prompt-box.ts";
import { SessionActions } from "../parts/session-actions.ts";
import { SessionRecord } from "../parts/session-record.ts";
import { StateBadge } from "../parts/state-badge.ts";
import { pathOf } from "../store/address.ts";
import { reasonOf } from "../store/fleet-row.ts";
import { bytesText, plural, timeText } from "../store/format.ts";
import { keyOf, type Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { SessionFeed } from "../store/session-feed.ts";
import { plain, shownName } from "../store/shown-name.ts";

/** From which width on the details stand beside the record, as in the style sheet. */
const BESIDE = "(min-width: 1100px)";

/** What a session saw and did, live. */
export function SessionPage({ context, name }: { readonly context: PageContext; readonly name: Name }): View {
  const { fleet, link, navigation } = context;
  const feed = useMemo(() => new SessionFeed(link, name), []);
  // Before the first paint: what is read is what people come for.
  useLayoutEffect(() => {
    void feed.start();
    // A session that its template has evicted is not in the list.
    fleet.touch(name);
    return () => feed.stop();
  }, []);
  const last = feed.timeline.value.events.at(-1)?.number;
  useEffect(() => {
    // Without the server's events, those of the record tell that the session has changed.
    if (link.state.peek() === "polling") fleet.touch(name);
  }, [last]);
  const beside = useMedia(BESIDE);
  const { path, query } = navigation.place.value;
  const isOpen = new URLSearchParams(query).has("details");
  const showDetails = (open: boolean): void => {
    const next = new URLSearchParams(navigation.place.peek().query);
    if (open) next.set("details", "");
    else next.delete("details");
    navigation.go(path, next.size === 0 ? "" : `?${next}`);
    if (!open) requestAnimationFrame(() => document.querySelector<HTMLElement>("#details-button")?.focus());
  };
  const info = fleet.rows.value.get(keyOf(name))?.info;
  // A session that has ended while its page is open can still be exported and erased.
  const seen = useRef(false);
  seen.current ||= info !== undefined;
  const operated = info ?? (seen.current ? { name, state: "stored" as const } : undefined);
  const reason = info === undefined ? undefined : reasonOf(info, (at) => timeText(at, fleet.now.value));
  const { status } = info ?? {};
  const facts = [
    status?.pid === undefined ? undefined : `process ${status.pid}`,
    status?.memoryBytes === undefined ? undefined : bytesText(status.memoryBytes),
    status === undefined || status.restarts === 0 ? undefined : plural(status.restarts, "restart"),
    status === undefined || status.mailbox === 0 ? undefined : `${plural(status.mailbox, "turn")} waiting`,
  ].filter((fact) => fact !== undefined);
  return html`<div class=${isOpen && beside ? "session-layout with-details" : "session-layout"}>
    <div class="session">
      <header class="session-head">
        <a class="icon-button" href=${navigation.href("/")} aria-label="Back to all sessions"><${Icon} name="back" /></a>
        <div class="session-title">
          <h1 tabindex="-1">${shownName(name)}</h1>
          <p>
            ${info !== undefined && html`<${StateBadge} state=${info.state} />`}
            ${info?.title !== undefined && html`<span>${plain(info.title)}</span>`}
            ${facts.map((fact) => html`<span key=${fact}>${fact}</span>`)}
            ${reason !== undefined && html`<span class="warn">${reason}</span>`}
            ${
              status?.waitingFor?.for === "approval" &&
              html`<a class="text-link" href=${navigation.href(pathOf({ page: "approvals" }), `?session=${encodeURIComponent(keyOf(name))}`)}>Decide</a>`
            }
          </p>
        </div>
        <button
          id="details-button"
          class="icon-button"
          type="button"
          title="Details"
          aria-label="Details"
          aria-expanded=${String(isOpen)}
          onClick=${() => showDetails(!isOpen)}
        >
          <${Icon} name="panel" />
        </button>
        ${operated !== undefined && html`<${SessionActions} context=${context} session=${operated} />`}
      </header>
      <${SessionRecord} context=${context} name=${name} feed=${feed} />
      ${feed.state.value === "ready" && html`<${PromptBox} context=${context} name=${name} session=${info} />`}
    </div>
    ${
      isOpen &&
      html`<${DetailsPanel}
        key=${String(beside)}
        context=${context}
        name=${name}
        session=${info}
        beside=${beside}
        close=${() => showDetails(false)}
      />`
    }
  </div>`;
}

/** Whether a media query holds, now and later. */
function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = (): void => setHolds(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return holds;
}
