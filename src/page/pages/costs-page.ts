import { useEffect, useMemo } from "preact/hooks";
import { html, type View } from "../html.ts";
import { BudgetList } from "../parts/budget-list.ts";
import { Card } from "../parts/card.ts";
import { CostsControls } from "../parts/costs-controls.ts";
import { CostsTable } from "../parts/costs-table.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { Icon } from "../parts/icon.ts";
import { NotRead } from "../parts/not-read.ts";
import { Legend, PlotTable, SpendPlot } from "../parts/spend-plot.ts";
import { budgetLeft } from "../store/budgets.ts";
import { type CostRow, changeText, orderedRows, rowsOf, seriesOf, totalOf } from "../store/costs.ts";
import { type Costs, CostsFeed, daysIn } from "../store/costs-feed.ts";
import { type CostsView, costsQueryOf, costsViewOf } from "../store/costs-view.ts";
import { csvOf } from "../store/csv.ts";
import { countText, dollarsText, plural, shortText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { dayOf, longDayText, type Period, periodOf } from "../store/period.ts";

/** What the sessions have spent, and what is left of the budgets. */
export function CostsPage({ context }: { readonly context: PageContext }): View {
  const { fleet, link, navigation } = context;
  const { query } = navigation.place.value;
  const feed = useMemo(() => new CostsFeed(link), []);
  const asked = useMemo(() => costsViewOf(new URLSearchParams(query)), [query]);
  const known = useMemo(() => labelsIn(fleet.rows.value.values()), [fleet.rows.value]);
  const labels = known.includes(asked.label) || asked.label === "" ? known : [asked.label, ...known];
  const view = asked.by === "label" && asked.label === "" ? { ...asked, label: labels[0] ?? "" } : asked;
  const { value: server } = fleet.server;
  const global = server?.inCluster === true;
  const what = costsQueryOf({ ...view, order: "name", descending: true });
  useEffect(() => {
    if (server === undefined) return;
    const { prefix, labels: reach } = server.caller;
    if (prefix === undefined && reach === undefined) feed.show(view, global);
    else feed.refuse();
  }, [what, global, server === undefined]);
  useEffect(() => {
    if (["ready", "failed"].includes(feed.state.peek())) feed.showSoon(view, global);
  }, [fleet.spending.value]);
  useEffect(() => () => feed.stop(), []);
  const change = (changes: Partial<CostsView>): void => {
    const usual =
      changes.by === undefined || changes.by === view.by ? {} : costsViewOf(new URLSearchParams({ by: changes.by }));
    const { order, descending } = { ...view, ...usual };
    navigation.go("/costs", costsQueryOf({ ...view, order, descending, ...changes }));
  };
  const today = dayOf(fleet.now.value);
  const period = periodOf(view.period, fleet.now.value);
  return html`
    <header class="page-head">
      <h1 tabindex="-1">Costs</h1>
      <p>Claude Code estimates the costs; they are no bill. Days begin at midnight, UTC.</p>
    </header>
    <${CostsControls} view=${view} period=${period} today=${today} labels=${labels} change=${change} />
    <${Content} context=${context} feed=${feed} view=${view} change=${change} />
  `;
}

interface ContentProps {
  readonly context: PageContext;
  readonly feed: CostsFeed;
  readonly view: CostsView;
  readonly change: (changes: Partial<CostsView>) => void;
}

function Content({ context, feed, view, change }: ContentProps): View {
  const { value: state } = feed.state;
  const costs = feed.costs.value;
  if (state === "refused") {
    return html`<${EmptyState} icon="key" title="Not for this user" text="Only who reaches all sessions sees what they cost." />`;
  }
  if (state === "failed") {
    return html`<${EmptyState} icon="warning" title="The costs cannot be read" text=${feed.failure.value} />`;
  }
  if (costs === undefined) return html`<${NotRead} link=${context.link} what="costs" rows=${9} />`;
  return html`<${Spending} context=${context} feed=${feed} costs=${costs} view=${view} change=${change} />`;
}

interface SpendingProps extends ContentProps {
  readonly costs: Costs;
}

function Spending({ context, feed, costs, view, change }: SpendingProps): View {
  // While another view is read, the table keeps the one before.
  const shown = { ...costs.view, order: view.order, descending: view.descending };
  const total = useMemo(() => totalOf(costs.reports), [costs]);
  const rows = useMemo(() => orderedRows(rowsOf(costs.reports, shown.by), shown), [costs, view.order, view.descending]);
  const days = useMemo(() => daysIn(costs), [costs]);
  const series = useMemo(() => {
    const by = shown.by === "day" ? "model" : shown.by;
    const all = seriesOf(costs.daily, by, days);
    return costs.stacked ? all : all.map((one) => ({ ...one, label: "All together" }));
  }, [costs]);
  const reached = feed.budgets.value.filter((budget) => budgetLeft(budget) === 0).length;
  const isEmpty = costs.reports.length === 0;
  return html`<div>
    <section class="cards costs-cards" aria-label="Summary">
      <${Card} icon="coin" label="Spent" value=${dollarsText(total.costUsd)}>
        <${Change} now=${total.costUsd} before=${totalOf(costs.before).costUsd} days=${days.length} />
      <//>
      <${Card} icon="refresh" label="Turns" value=${countText(total.turns)}>
        ${total.turns === 0 ? "None has spent" : `${dollarsText(total.costUsd / total.turns)} each, on average`}
      <//>
      <${Card} icon="send" label="Tokens" value=${shortText(total.input + total.output)}>
        ${shortText(total.input)} input, ${shortText(total.output)} output
      <//>
      <${Card} icon="chip" label="Cache" value=${shortText(total.read + total.written)}>
        ${shortText(total.read)} read, ${shortText(total.written)} written
      <//>
      <${Card} icon="warning" label="Budgets" value=${countText(feed.budgets.value.length)} tone=${reached > 0 ? "bad" : undefined}>
        ${reached > 0 ? `${countText(reached)} spent` : feed.budgets.value.length === 0 ? "None is set" : "None is spent"}
      <//>
    </section>
    <section class="panel" aria-labelledby="by-day">
      <header class="panel-head">
        <h2 id="by-day">By day</h2>
        <p>${longDayText(costs.period.from)} – ${longDayText(costs.period.to)}</p>
      </header>
      ${
        isEmpty
          ? html`<${EmptyState} icon="coin" title="Nothing was spent" text="No turn has cost anything in this period." />`
          : html`<${SpendPlot} days=${days} series=${series} />
              <${Legend} series=${series} />
              ${!costs.stacked && html`<p class="panel-empty">There are too many values to tell their days apart.</p>`}
              <${PlotTable} days=${days} series=${series} />`
      }
    </section>
    ${
      !isEmpty &&
      html`<section class="panel" aria-labelledby="as-table">
        <header class="panel-head">
          <h2 id="as-table">${TITLES[shown.by]}</h2>
          <p>${plural(rows.length, "row")}</p>
          <button class="button small" type="button" onClick=${() => download(shown, costs.period, rows)}>
            <${Icon} name="download" />Download CSV
          </button>
        </header>
        <${CostsTable} key=${`${shown.by}${shown.label}`} context=${context} view=${shown} rows=${rows} total=${total} change=${change} />
      </section>`
    }
    <${BudgetList} context=${context} budgets=${feed.budgets.value} />
  </div>`;
}

const TITLES = { day: "Days", model: "Models", label: "Label values", session: "Sessions" } as const;

interface ChangeProps {
  readonly now: number;
  readonly before: number;
  readonly days: number;
}

function Change({ now, before, days }: ChangeProps): View {
  const text = changeText(now, before);
  const than = days === 1 ? "the day before" : `the ${days} days before`;
  if (text === undefined) return html`<span>Nothing in ${than}</span>`;
  return html`<span title=${`${dollarsText(before)} in ${than}`}>${text} against ${than}</span>`;
}

function labelsIn(
  rows: Iterable<{ readonly info: { readonly labels?: Readonly<Record<string, string>> | undefined } }>,
): string[] {
  const names = new Set<string>();
  for (const { info } of rows) for (const name of Object.keys(info.labels ?? {})) names.add(name);
  return [...names].sort();
}

const NUMBERS = ["cost_usd", "turns", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"];

/** Saves the whole table as a file. */
function download({ by, label }: CostsView, { from, to }: Period, rows: readonly CostRow[]): void {
  const lines = rows.map((row) => [
    row.label,
    Number(row.costUsd.toFixed(6)),
    ...[row.turns, row.input, row.output, row.read, row.written],
  ]);
  const csv = csvOf([by === "label" ? label : by, ...NUMBERS], lines);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv;charset=utf-8" }));
  link.download = `costs-by-${by}-${from}-${to}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}
