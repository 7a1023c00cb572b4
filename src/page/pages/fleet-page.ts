import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { html, type View } from "../html.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { FleetFilters } from "../parts/fleet-filters.ts";
import { FleetList } from "../parts/fleet-list.ts";
import { FleetSummary } from "../parts/fleet-summary.ts";
import { NotRead } from "../parts/not-read.ts";
import { isTyping } from "../parts/search-box.ts";
import { SelectionBar } from "../parts/selection-bar.ts";
import { arranged, countsOf, type FleetView, matching, queryOf, viewOf } from "../store/fleet-view.ts";
import type { PageContext } from "../store/page-context.ts";

/** All sessions: which need somebody, what they wait for, and what they cost. */
export function FleetPage({ context }: { readonly context: PageContext }): View {
  const { fleet, navigation } = context;
  const { query } = navigation.place.value;
  const view = useMemo(() => viewOf(new URLSearchParams(query)), [query]);
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const rows = fleet.rows.value;
  const found = useMemo(() => matching(rows.values(), view), [rows, view]);
  const shown = useMemo(() => arranged(found, view), [found, view]);
  const counts = useMemo(() => countsOf(found), [found]);
  const chosen = useComputed(() => [...selected.value].flatMap((key) => fleet.rows.value.get(key)?.info ?? []));
  const change = (changes: Partial<FleetView>): void =>
    navigation.go("/", queryOf({ ...view, ...changes }), { replace: changes.text !== undefined });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !isTyping(event)) selected.value = new Set();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return html`
    <h1 tabindex="-1" class="unseen">Fleet</h1>
    <${FleetSummary} context=${context} />
    <${FleetFilters} view=${view} counts=${counts} total=${found.length} change=${change} />
    ${
      shown.length > 0
        ? html`<${FleetList} context=${context} rows=${shown} selected=${selected} change=${change} view=${view} />`
        : html`<${NothingShown} context=${context} change=${change} />`
    }
    <${SelectionBar} context=${context} sessions=${chosen.value} clear=${() => {
      selected.value = new Set();
    }} />
  `;
}

interface NothingShownProps {
  readonly context: PageContext;
  readonly change: (changes: Partial<FleetView>) => void;
}

function NothingShown({ context: { fleet, link }, change }: NothingShownProps): View {
  if (!fleet.complete.value) return html`<${NotRead} link=${link} what="sessions" rows=${8} />`;
  if (fleet.rows.value.size === 0) {
    return html`<${EmptyState}
      icon="sessions"
      title="No sessions yet"
      text="A session appears here as soon as the application starts it, or somebody uses a template."
    />`;
  }
  return html`<${EmptyState} icon="search" title="No session matches" text="Other words or filters may find some.">
    <button class="button" type="button" onClick=${() => change({ text: "", states: [], labels: [] })}>
      Show all sessions
    </button>
  <//>`;
}
