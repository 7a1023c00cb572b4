import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { type ServerRow, serverRows } from "../store/option-rows.ts";
import { notifyFailure } from "../store/page-context.ts";
import { foundIn } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";
import { notRead, Section, type SectionProps } from "./details-section.ts";

const TONES: Readonly<Record<string, string>> = {
  connected: "good",
  pending: "busy",
  failed: "bad",
  "needs-auth": "warn",
  ended: "warn",
};

const WORDS: Readonly<Record<string, string>> = {
  "needs-auth": "needs a login",
  pending: "connecting",
  unknown: "not known",
};

/** The MCP servers and their state. */
export function DetailsServers(props: SectionProps): View {
  const { details, session } = props;
  const { value: read } = details.inspection;
  const inspection = foundIn(read);
  const status = inspection?.status ?? session?.status;
  const rows = serverRows(inspection ?? {}, status);
  const isUnread = inspection === undefined && rows.length === 0;
  const isWithout = status?.pid === undefined && rows.length > 0;
  return html`<${Section} title="MCP servers">
    ${isUnread && notRead(read)}
    ${!isUnread && rows.length === 0 && html`<p class="quiet">None.</p>`}
    ${isWithout && html`<p class="quiet">No process runs, so their state is not known. It is asked for when the session wakes.</p>`}
    <ul class="servers">${rows.map((row) => html`<${Server} key=${row.name} ...${props} row=${row} />`)}</ul>
  <//>`;
}

function Server({ context, name, details, row }: SectionProps & { readonly row: ServerRow }): View {
  const { link, fleet } = context;
  const [busy, setBusy] = useState(false);
  const operates = fleet.may("operate");
  const { status, reason } = row;
  const ask = async (request: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await request();
    } catch (error) {
      notifyFailure(error);
    }
    await details.inspect();
    setBusy(false);
  };
  const session = link.client.session(name);
  const isOff = status === "disabled";
  return html`<li>
    <div class="server-line">
      <b>${plain(row.name)}</b>
      <span class=${`server-state ${TONES[status] ?? "quiet"}`}><i></i>${WORDS[status] ?? plain(status)}</span>
      ${
        operates &&
        status !== "unknown" &&
        html`<span class="server-actions">
          ${!isOff && html`<button class="text-button" type="button" disabled=${busy} onClick=${() => void ask(() => session.reconnectMcpServer(row.name))}>Reconnect</button>`}
          <button class="text-button" type="button" disabled=${busy} onClick=${() => void ask(() => session.toggleMcpServer(row.name, isOff))}>${isOff ? "Enable" : "Disable"}</button>
        </span>`
      }
    </div>
    ${reason !== undefined && html`<p class="server-reason">${plain(reason)}</p>`}
  </li>`;
}
