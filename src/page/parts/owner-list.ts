import { useRef, useState } from "preact/hooks";
import type { NodeInfo } from "../../wire/cluster.ts";
import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { matchingOwners, type OwnerRow, type OwnersView, targetsFor } from "../store/cluster.ts";
import type { ClusterFeed } from "../store/cluster-feed.ts";
import { fieldText } from "../store/field-text.ts";
import { countText, plural } from "../store/format.ts";
import { notify, type PageContext } from "../store/page-context.ts";
import { messageOf, plain } from "../store/shown-name.ts";
import { SearchBox } from "./search-box.ts";

/** How many rows are shown at first, and with each click on more. */
const PAGE = 100;

interface OwnerListProps {
  readonly context: PageContext;
  readonly feed: ClusterFeed;
  readonly view: OwnersView;
  readonly change: (changes: Partial<OwnersView>) => void;
}

/** Which node owns which session. */
export function OwnerList({ context, feed, view, change }: OwnerListProps): View {
  const [shown, setShown] = useState(PAGE);
  const rows = feed.owners.value;
  const found = rows === undefined ? [] : matchingOwners(rows, view);
  const nodes = feed.nodes.value ?? [];
  return html`<section class="panel" aria-labelledby="owners">
    <header class="panel-head">
      <h2 id="owners">Global sessions</h2>
      <p>${rows !== undefined && (found.length === rows.length ? countText(rows.length) : `${countText(found.length)} of ${countText(rows.length)}`)}</p>
      <div class="owner-filters">
        <${SearchBox} text=${view.text} placeholder="Search names, labels, nodes" label="Search names, titles, labels and nodes" change=${(text: string) => change({ text })} />
        <select
          class="label-select"
          aria-label="Node"
          onChange=${(event: Event) => change({ node: fieldText(event) || undefined })}
        >
          <option value="" selected=${view.node === undefined}>All nodes</option>
          ${[...new Set([...nodes.map(({ name }) => name), ...(view.node === undefined ? [] : [view.node])])].map(
            (name) => html`<option key=${name} value=${name} selected=${name === view.node}>${plain(name)}</option>`,
          )}
        </select>
      </div>
    </header>
    <${Owners} context=${context} feed=${feed} rows=${rows} found=${found.slice(0, shown)} nodes=${nodes} />
    ${
      found.length > shown &&
      html`<p class="more-rows">
        ${countText(shown)} of ${countText(found.length)} sessions.
        <button class="button small" type="button" onClick=${() => setShown(shown + 5 * PAGE)}>Show more</button>
      </p>`
    }
  </section>`;
}

interface OwnersProps {
  readonly context: PageContext;
  readonly feed: ClusterFeed;
  readonly rows: readonly OwnerRow[] | undefined;
  readonly found: readonly OwnerRow[];
  readonly nodes: readonly NodeInfo[];
}

function Owners({ context, feed, rows, found, nodes }: OwnersProps): View {
  if (rows === undefined) return html`<p class="panel-empty" aria-busy="true">The sessions are being read.</p>`;
  if (rows.length === 0) return html`<p class="panel-empty">No global session has had a turn yet.</p>`;
  if (found.length === 0) return html`<p class="panel-empty">No session matches.</p>`;
  const mayMove = context.fleet.may("operate");
  return html`<div class="table-frame" tabindex="0" role="region" aria-label="Sessions and their nodes">
    <table class="costs-table owners">
      <thead><tr>
        <th scope="col">Session</th><th scope="col">Node</th>
        <th scope="col" class="number"><span title="Rises with each new owner">Epoch</span></th>
        <th scope="col"><span class="unseen">Actions</span></th>
      </tr></thead>
      <tbody>
        ${found.map((row) => html`<${Owner} key=${row.key} context=${context} feed=${feed} row=${row} nodes=${nodes} mayMove=${mayMove} />`)}
      </tbody>
    </table>
  </div>`;
}

interface OwnerProps extends Pick<OwnersProps, "context" | "feed" | "nodes"> {
  readonly row: OwnerRow;
  readonly mayMove: boolean;
}

function Owner({ context, feed, row: { key, label, info }, nodes, mayMove }: OwnerProps): View {
  const { navigation } = context;
  const to = feed.moving.value.get(key);
  return html`<tr>
    <th scope="row" class="cost-name">
      <a href=${navigation.href(pathOf({ page: "session", name: info.name }))}>${label}</a>
      ${info.title !== undefined && html` <span class="quiet">${plain(info.title)}</span>`}
    </th>
    <td>
      ${
        to !== undefined
          ? html`<span class="moving" role="status">moving to ${plain(to)}…</span>`
          : info.node === undefined
            ? html`<span class="quiet" title="The next turn brings it to a node">in the database only</span>`
            : plain(info.node)
      }
    </td>
    <td class="number">${info.epoch ?? "–"}</td>
    <td class="number">
      ${mayMove && html`<${MoveMenu} feed=${feed} row=${{ key, label, info }} targets=${targetsFor(nodes, info.node)} busy=${to !== undefined} />`}
    </td>
  </tr>`;
}

interface MoveMenuProps {
  readonly feed: ClusterFeed;
  readonly row: Pick<OwnerRow, "key" | "label" | "info">;
  readonly targets: readonly NodeInfo[];
  readonly busy: boolean;
}

/** A button that asks to which node a session moves. */
function MoveMenu({ feed, row: { key, label, info }, targets, busy }: MoveMenuProps): View {
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const show = (): void => {
    setOpen(true);
    requestAnimationFrame(() => dialog.current?.showModal());
  };
  const move = (node: string) => async (): Promise<void> => {
    dialog.current?.close();
    try {
      await feed.move(key, info.name, node);
      notify(`${label} is on ${plain(node)}.`);
    } catch (error) {
      const why = messageOf(error);
      notify(`${label} has not moved to ${plain(node)}: ${plain(why)}`, { failed: true });
    }
  };
  return html`<button class="button small" type="button" disabled=${busy || targets.length === 0} aria-haspopup="dialog" aria-label=${`Move ${label}`} onClick=${show}>
      Move
    </button>
    ${
      open &&
      html`<dialog ref=${dialog} class="dialog move" aria-labelledby="move-title" onClose=${() => setOpen(false)}>
        <h2 id="move-title">Move ${label}?</h2>
        <p>A running turn has thirty seconds to finish; then it is cut, as by a crash. Waiting turns run on the new node.</p>
        <ul>
          ${targets.map(
            ({ name, load, maxProcesses }) => html`<li key=${name}>
              <button class="menu-item" type="button" onClick=${move(name)}>
                <b>${plain(name)}</b>
                <span>${maxProcesses === undefined ? plural(load, "session") : `${countText(load)} of ${countText(maxProcesses)} processes`}</span>
              </button>
            </li>`,
          )}
        </ul>
        <div class="dialog-buttons">
          <button class="button" type="button" onClick=${() => dialog.current?.close()}>Cancel</button>
        </div>
      </dialog>`
    }`;
}
