import { useEffect, useMemo } from "preact/hooks";
import { html, type View } from "../html.ts";
import { Icon } from "../parts/icon.ts";
import { PromptBox } from "../parts/prompt-box.ts";
import { SessionMenu } from "../parts/session-menu.ts";
import { SessionRecord } from "../parts/session-record.ts";
import { StateBadge } from "../parts/state-badge.ts";
import { pathOf } from "../store/address.ts";
import { reasonOf } from "../store/fleet-row.ts";
import { bytesText, plural, timeText } from "../store/format.ts";
import { keyOf, type Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { SessionFeed } from "../store/session-feed.ts";
import { plain, shownName } from "../store/shown-name.ts";

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
          ${
            status?.waitingFor?.for === "approval" &&
            html`<a class="text-link" href=${navigation.href(pathOf({ page: "approvals" }), `?session=${encodeURIComponent(keyOf(name))}`)}>Decide</a>`
          }
        </p>
      </div>
      ${info !== undefined && html`<${SessionMenu} context=${context} session=${info} />`}
    </header>
    <${SessionRecord} context=${context} name=${name} feed=${feed} />
    ${feed.state.value === "ready" && html`<${PromptBox} context=${context} name=${name} busy=${status?.turn !== undefined} />`}
  </div>`;
}
