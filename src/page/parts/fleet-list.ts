import type { Signal } from "@preact/signals";
import { h, type VNode } from "preact";
import { useCallback, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { FleetRow } from "../store/fleet-row.ts";
import type { FleetView } from "../store/fleet-view.ts";
import type { PageContext } from "../store/page-context.ts";
import { windowRange } from "../store/window-range.ts";
import { SessionRow, type SessionRowProps } from "./session-row.ts";
import { useSeen } from "./use-seen.ts";

/** The heights of a row, in pixels, as in the style sheet. */
const WIDE_ROW = 56;
const NARROW_ROW = 84;
const NARROW = "(max-width: 760px)";

interface FleetListProps {
  readonly context: PageContext;
  readonly rows: readonly FleetRow[];
  readonly selected: Signal<ReadonlySet<string>>;
  readonly view: FleetView;
  readonly change: (changes: Partial<FleetView>) => void;
}

/** The sessions. Only the visible ones are in the document, so that ten thousand scroll like ten. */
export function FleetList({ context, rows, selected, view, change }: FleetListProps): View {
  const body = useRef<HTMLDivElement>(null);
  const anchor = useRef(-1);
  const rendered = useRef<readonly { readonly props: SessionRowProps; readonly node: VNode }[]>([]);
  const { top, height, rowHeight } = useSeen(body, heightOfRow);
  const { first, end } = windowRange(rows.length, rowHeight, top, height);
  const all = rows.length > 0 && rows.every(({ key }) => selected.value.has(key));
  const latest = useRef({ rows, view, change });
  latest.current = { rows, view, change };
  const select = useCallback((index: number, on: boolean, range: boolean): void => {
    const from = range && anchor.current >= 0 ? anchor.current : index;
    const next = new Set(selected.peek());
    for (const { key } of latest.current.rows.slice(Math.min(from, index), Math.max(from, index) + 1)) {
      if (on) next.add(key);
      else next.delete(key);
    }
    anchor.current = index;
    selected.value = next;
  }, []);
  const filter = useCallback((label: string): void => {
    const {
      view: { labels },
      change: go,
    } = latest.current;
    if (!labels.includes(label)) go({ labels: [...labels, label] });
  }, []);
  const selectAll = (): void => {
    selected.value = all ? new Set() : new Set(rows.map(({ key }) => key));
  };
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target instanceof Element ? event.target.closest("[data-index]") : null;
    if (step === undefined || row === null) return;
    const index = Number(row.getAttribute("data-index")) + step;
    const next = body.current?.querySelector<HTMLElement>(`[data-index="${index}"] a`);
    if (next === null || next === undefined) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.closest(".row")?.scrollIntoView({ block: "nearest" });
  };
  const before = new Map(rendered.current.map((item) => [item.props.row.key, item]));
  rendered.current = rows.slice(first, end).map((row, at) => {
    const props = {
      context,
      row,
      index: first + at,
      top: (first + at) * rowHeight,
      selected: selected.value.has(row.key),
      select,
      filter,
    };
    const same = before.get(row.key);
    // Preact leaves out what it gets again, so that a scroll costs only the rows that come into sight.
    if (same !== undefined && isSame(same.props, props)) return same;
    return { props, node: h(SessionRow, { ...props, key: row.key }) as VNode };
  });
  return html`<div class="list" role="table" aria-label="Sessions" aria-rowcount=${rows.length + 1} onKeyDown=${move}>
    <div role="rowgroup" class="list-head">
      <div role="row" class="row head" aria-rowindex="1">
        <span role="columnheader" class="cell-check">
          <input type="checkbox" checked=${all} aria-label="Select all shown sessions" onChange=${selectAll} />
        </span>
        <span role="columnheader">State</span>
        <span role="columnheader">Session</span>
        <span role="columnheader">Doing</span>
        <span role="columnheader">Last sign</span>
        <span role="columnheader" class="number">Memory</span>
        <span role="columnheader" class="number">Restarts</span>
        <span role="columnheader"><span class="unseen">Actions</span></span>
      </div>
    </div>
    <div role="rowgroup" class="list-body" ref=${body} style=${{ height: `${rows.length * rowHeight}px` }}>
      ${rendered.current.map(({ node }) => node)}
    </div>
  </div>`;
}

function heightOfRow(): number {
  return matchMedia(NARROW).matches ? NARROW_ROW : WIDE_ROW;
}

function isSame<Facts extends object>(one: Facts, other: Facts): boolean {
  return (Object.keys(other) as (keyof Facts)[]).every((name) => one[name] === other[name]);
}
