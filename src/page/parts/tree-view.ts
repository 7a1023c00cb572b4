import { useLayoutEffect, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { countText, plural, timeLeft } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { plain } from "../store/shown-name.ts";
import { statesBelow, type TreeItem } from "../store/tree-item.ts";
import { type TreeRow, treeMove } from "../store/tree-rows.ts";
import { intensityBrief, retryOf } from "../store/tree-text.ts";
import { windowRange } from "../store/window-range.ts";
import { Icon, type IconName } from "./icon.ts";
import { StateBadge } from "./state-badge.ts";
import { useSeen } from "./use-seen.ts";

/** The height of a row, in pixels, as in the style sheet. */
const ROW = 44;
/** What covers the top and the bottom of the page, in pixels. */
const COVERED = 72;

interface TreeViewProps {
  readonly context: PageContext;
  readonly rows: readonly TreeRow[];
  /** The id of the row that has the details, and the focus of the tree. */
  readonly active: string;
  readonly go: (id: string) => void;
  readonly fold: (id: string, expanded: boolean) => void;
}

/** The tree. Only the visible rows are in the document. */
export function TreeView({ context, rows, active, go, fold }: TreeViewProps): View {
  const body = useRef<HTMLDivElement>(null);
  const { top, height } = useSeen(body, () => ROW);
  const focuses = useRef(false);
  const { first, end } = windowRange(rows.length, ROW, top, height);
  const at = Math.max(
    0,
    rows.findIndex(({ item }) => item.id === active),
  );
  useLayoutEffect(() => {
    if (!focuses.current) return;
    focuses.current = false;
    const row = body.current?.querySelector<HTMLElement>(`[data-index="${at}"]`);
    row?.focus({ preventScroll: true });
    const box = row?.getBoundingClientRect();
    if (box === undefined) return;
    if (box.top < COVERED) scrollBy(0, box.top - COVERED);
    else if (box.bottom > innerHeight - COVERED) scrollBy(0, box.bottom - innerHeight + COVERED);
  });
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const move = treeMove(rows, rows[at]?.item.id, event.key);
    if (move === undefined) return;
    event.preventDefault();
    focuses.current = true;
    if (move.does === "go") go(move.id);
    else fold(move.id, move.expanded);
  };
  const shown = rows.slice(first, end).map((row, index) => ({ row, index: first + index }));
  const current = rows[at];
  // The row with the focus stays in the document.
  if (current !== undefined && (at < first || at >= end)) shown.push({ row: current, index: at });
  return html`<div
    ref=${body}
    class="tree"
    role="tree"
    aria-label="Supervision tree"
    style=${{ height: `${rows.length * ROW}px` }}
    onKeyDown=${onKey}
  >
    ${shown.map(
      ({ row, index }) =>
        html`<${Row} key=${row.item.id} context=${context} row=${row} index=${index} active=${row.item.id === active} reached=${index === at} go=${go} fold=${fold} />`,
    )}
  </div>`;
}

interface RowProps extends Pick<TreeViewProps, "context" | "go" | "fold"> {
  readonly row: TreeRow;
  readonly index: number;
  readonly active: boolean;
  /** Whether the tab key reaches it. */
  readonly reached: boolean;
}

const ICONS: Readonly<Record<TreeItem["kind"], IconName>> = {
  supervisor: "tree",
  session: "sessions",
  template: "template",
  pool: "pool",
  worker: "chip",
};

function Row({ context, row, index, active, reached, go, fold }: RowProps): View {
  const { item, level, position, siblings, expanded } = row;
  const { id, kind, label, state } = item;
  const toggle = (event: Event): void => {
    event.stopPropagation();
    if (expanded !== undefined) fold(id, !expanded);
  };
  const hasState = kind !== "template" && kind !== "pool";
  return html`<div
    role="treeitem"
    class=${`tree-row${active ? " selected" : ""}${hasState ? "" : " is-family"}`}
    title=${`${label}, ${kind}`}
    aria-level=${level}
    aria-posinset=${position}
    aria-setsize=${siblings}
    aria-expanded=${expanded}
    aria-selected=${String(active)}
    tabindex=${reached ? 0 : -1}
    data-index=${index}
    style=${{ transform: `translateY(${index * ROW}px)`, paddingLeft: `${8 + Math.min(level - 1, 8) * 22}px` }}
    onClick=${() => go(id)}
    onFocus=${() => !active && go(id)}
  >
    <span class="twisty" aria-hidden="true" onClick=${toggle}>${expanded !== undefined && html`<${Icon} name=${expanded ? "down" : "right"} />`}</span>
    <${Icon} name=${ICONS[kind]} />
    <span class="tree-label">${label}</span>
    <span class="unseen">${kind}</span>
    <span class="tree-note"><${Note} context=${context} item=${item} /></span>
    ${hasState && html`<${StateBadge} state=${state} />`}
  </div>`;
}

/** What a row tells besides name and state. */
function Note({ context, item }: { readonly context: PageContext; readonly item: TreeItem }): View {
  const { kind, node, children } = item;
  const retryAt = retryOf(node);
  if (retryAt !== undefined && (item.state === "restarting" || kind === "pool")) {
    return html`<span class="warn">tries again in ${timeLeft(retryAt, context.fleet.now.value)}</span>`;
  }
  if (kind === "template" || kind === "pool") return html`<${States} item=${item} />`;
  if (node?.kind === "supervisor")
    return html`<span>${plain(node.strategy)}, ${intensityBrief(node.intensity)}, ${plural(children.length, "child").replace("childs", "children")}</span>`;
  const restarts = node?.kind === "session" ? node.status.restarts : node?.kind === "worker" ? node.restarts : 0;
  return restarts > 0 ? html`<span>${plural(restarts, "restart")}</span>` : null;
}

/** How many sessions below are in which state. */
export function States({ item }: { readonly item: TreeItem }): View {
  const states = [...statesBelow(item)];
  if (states.length === 0) return html`<span>no session in memory</span>`;
  return html`<span class="tree-states">
    ${states.map(([state, count]) => html`<span key=${state} class=${`tree-count is-${state}`}><i></i>${countText(count)} ${state}</span>`)}
  </span>`;
}
