import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { type FleetRow, reasonOf } from "../store/fleet-row.ts";
import { activityOf } from "../store/fleet-view.ts";
import { agoText, bytesText, fullTimeText, plural, timeText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { plain } from "../store/shown-name.ts";
import { SessionMenu } from "./session-menu.ts";
import { StateBadge } from "./state-badge.ts";

/** What a row shows. */
export interface SessionRowProps {
  readonly context: PageContext;
  readonly row: FleetRow;
  readonly index: number;
  /** Below the list's first row, in pixels. */
  readonly top: number;
  readonly selected: boolean;
  readonly select: (index: number, on: boolean, range: boolean) => void;
  /** Shows only sessions with this label, `name=value`. */
  readonly filter: (label: string) => void;
}

/** The most labels of a row; its page has all. */
const MOST_LABELS = 3;

/** A session of the list. */
export function SessionRow(props: SessionRowProps): View {
  const { context, row, index, top, selected, select, filter } = props;
  const { info, label } = row;
  const { status } = info;
  const now = context.fleet.now.value;
  const active = activityOf(row);
  const check = (event: MouseEvent): void =>
    select(index, (event.currentTarget as HTMLInputElement).checked, event.shiftKey);
  const labels = Object.entries(info.labels ?? {}).slice(0, MOST_LABELS);
  return html`<div
    role="row"
    class=${selected ? "row selected" : "row"}
    aria-rowindex=${index + 2}
    data-index=${index}
    style=${{ transform: `translateY(${top}px)` }}
  >
    <span role="cell" class="cell-check">
      <input type="checkbox" checked=${selected} aria-label=${`Select ${label}`} onClick=${check} />
    </span>
    <span role="cell" class="cell-state"><${StateBadge} state=${info.state} /></span>
    <span role="cell" class="cell-name">
      <a href=${context.navigation.href(pathOf({ page: "session", name: info.name }))} title=${label}>${label}</a>
      <span class="under">
        ${info.title !== undefined && html`<span class="title">${plain(info.title)}</span>`}
        ${labels.map(([name, value]) => {
          const text = `${name}=${value}`;
          return html`<button key=${text} class="tag" type="button" title="Only sessions with this label" onClick=${() => filter(text)}>
            ${plain(text)}
          </button>`;
        })}
      </span>
    </span>
    <span role="cell" class="cell-doing"><${Doing} row=${row} now=${now} /></span>
    <span role="cell" class="cell-active" title=${active === 0 ? undefined : fullTimeText(active)}>
      ${active === 0 ? "–" : agoText(active, now)}
    </span>
    <span role="cell" class="cell-memory number">
      ${status?.memoryBytes === undefined ? "–" : bytesText(status.memoryBytes)}
    </span>
    <span role="cell" class=${`cell-restarts number${(status?.restarts ?? 0) > 0 ? " warn" : ""}`}>
      ${status?.restarts ?? "–"}
    </span>
    <span role="cell" class="cell-menu"><${SessionMenu} context=${context} session=${info} /></span>
  </div>`;
}

/** What the session does or waits for. */
function Doing({ row: { info }, now }: { readonly row: FleetRow; readonly now: number }): View {
  const { status } = info;
  const reason = reasonOf(info, (at) => timeText(at, now));
  const mailbox = status?.mailbox ?? 0;
  const queued = mailbox > 0 ? `, ${plural(mailbox, "turn")} waiting` : "";
  const turn = status?.turn;
  if (reason !== undefined) {
    const waits = info.state === "waiting" ? `waits for ${reason}` : reason;
    return html`<span class=${info.state === "quarantined" ? "reason bad" : "reason"} title=${waits}>${waits}${queued}</span>`;
  }
  if (turn !== undefined)
    return html`<span>turn for ${agoText(turn.since, now).replace("now", "a moment")}${queued}</span>`;
  if (queued !== "") return html`<span>${plural(mailbox, "turn")} waiting</span>`;
  const tasks = status?.backgroundTasks ?? 0;
  return html`<span class="quiet">${tasks > 0 ? plural(tasks, "background task") : "–"}</span>`;
}
