import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import type { FleetRow } from "../store/fleet-row.ts";
import {
  agoText,
  bytesText,
  countText,
  dollarsText,
  fullTimeText,
  partText,
  plural,
  shortText,
} from "../store/format.ts";
import { keyOf } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { lastHour } from "../store/recent-exits.ts";
import { plain, shownName } from "../store/shown-name.ts";
import { Card } from "./card.ts";
import { Icon } from "./icon.ts";

/** The numbers of all sessions. */
export function FleetSummary({ context }: { readonly context: PageContext }): View {
  const { fleet } = context;
  const rows = [...fleet.rows.value.values()];
  const capacity = fleet.capacity.value;
  const spending = fleet.spending.value;
  const memory = rows.reduce((sum, { info }) => sum + (info.status?.memoryBytes ?? 0), 0);
  const limits = capacity?.limits;
  const used = capacity?.memoryBytes ?? memory;
  const active = capacity?.processes ?? rows.filter(({ info }) => info.status?.pid !== undefined).length;
  const running = capacity?.turns.running ?? rows.filter(({ info }) => info.state === "busy").length;
  const queued = (capacity?.waiting ?? 0) + (capacity?.turns.waiting ?? 0);
  return html`<section class="cards" aria-label="Summary">
    <${Card} icon="sessions" label="Sessions" value=${countText(rows.length)}>
      ${`${plural(running, "turn")} running`}
    <//>
    <${WaitingCard} context=${context} rows=${rows} />
    <${Card} icon="chip" label="Processes" value=${countText(active)} used=${mostUsed(active, limits?.processes, used, limits?.memoryBytes)}>
      ${processesText(limits?.processes, memoryText(used, limits?.memoryBytes))}
      ${queued > 0 && html`, <b class="warn">${countText(queued)} in line</b>`}
    <//>
    <${Card} icon="coin" label="Spent today" value=${spending === undefined ? "–" : dollarsText(spending.costUsd)}>
      <span title="The day begins at midnight, UTC. Claude Code estimates the cost; it is no bill.">
        ${spending === undefined ? "Not for this user" : `${shortText(spending.tokens)} tokens, UTC`}
      </span>
    <//>
    <${ExitsCard} context=${context} />
  </section>`;
}

/** Returns the limit of the processes, if there is one, and their memory: `of 40, 3.1 of 8 GB`. */
function processesText(limit: number | undefined, memory: string): string {
  if (limit !== undefined) return `of ${countText(limit)}, ${memory}`;
  return `${memory.charAt(0).toUpperCase()}${memory.slice(1)}`;
}

/** Returns the memory of the processes, and its limit if there is one: `3.1 of 8 GB`. */
function memoryText(used: number, limit: number | undefined): string {
  if (limit !== undefined) return partText(used, limit);
  return used > 0 ? bytesText(used) : "memory is not measured";
}

/** Returns how much of the limit that is reached first is used; undefined without limits. */
function mostUsed(active: number, processes = Number.NaN, used = 0, bytes = Number.NaN): number | undefined {
  const parts = [active / processes, used / bytes].filter((part) => !Number.isNaN(part));
  return parts.length === 0 ? undefined : Math.max(...parts);
}

const WAITS: readonly (readonly [NonNullable<NonNullable<FleetRow["info"]["status"]>["waitingFor"]>["for"], string])[] =
  [
    ["approval", "for approval"],
    ["quota", "for a usage limit"],
    ["billing", "for billing"],
    ["overload", "for the API"],
    ["capacity", "for a process"],
  ];

function WaitingCard({ context, rows }: { readonly context: PageContext; readonly rows: readonly FleetRow[] }): View {
  const waiting = rows.filter(({ info }) => info.status?.waitingFor !== undefined);
  const parts = WAITS.flatMap(([what, text]) => {
    const count = waiting.filter(({ info }) => info.status?.waitingFor?.for === what).length;
    return count === 0 ? [] : `${countText(count)} ${text}`;
  });
  const [oldest] = context.fleet.approvals.value;
  const age = oldest === undefined ? undefined : agoText(oldest.requestedAt, context.fleet.now.value);
  const tone = waiting.length > 0 ? "warn" : undefined;
  const text = parts.join(", ") || "Nobody waits";
  const href = context.navigation.href(pathOf({ page: "approvals" }));
  return html`<${Card} icon="clock" label="Waiting" value=${countText(waiting.length)} tone=${tone}>
    ${oldest === undefined ? text : html`<a class="text-link" href=${href}>${text}</a>`}${age !== undefined && html`, <span title="The oldest approval">since ${age}</span>`}
  <//>`;
}

function ExitsCard({ context }: { readonly context: PageContext }): View {
  const { fleet, navigation } = context;
  const exits = lastHour(fleet.exits.value, fleet.now.value);
  const quarantines = exits.filter(({ kind }) => kind === "quarantine").length;
  const restarts = exits.length - quarantines;
  if (exits.length === 0) return html`<${Card} icon="refresh" label="Failures, last hour" value="0">No restarts<//>`;
  const tone = quarantines > 0 ? "bad" : "warn";
  const note = [restarts > 0 && plural(restarts, "restart"), quarantines > 0 && plural(quarantines, "quarantine")];
  return html`<details class=${`card details ${tone}`}>
    <summary>
      <span class="card-label"><${Icon} name="refresh" />Failures, last hour</span>
      <span class="card-value">${countText(exits.length)}</span>
      <span class="card-note">${note.filter(Boolean).join(", ")}</span>
    </summary>
    <ol class="exits">
      ${exits.slice(0, 20).map(
        ({ kind, session, at, message }) => html`<li key=${`${kind}${at}${keyOf(session)}`}>
          <time title=${fullTimeText(at)}>${agoText(at, fleet.now.value)}</time>
          <a href=${navigation.href(pathOf({ page: "session", name: session }))}>${shownName(session)}</a>
          <span class=${kind === "quarantine" ? "tag bad" : "tag"}>${kind}</span>
          <span class="exit-message">${plain(message)}</span>
        </li>`,
      )}
    </ol>
  </details>`;
}
