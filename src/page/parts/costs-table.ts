import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { type CostRow, type Spent, shareText } from "../store/costs.ts";
import { type Column, type CostsView, orderedBy } from "../store/costs-view.ts";
import { countText, dollarsText, shortText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { longDayText } from "../store/period.ts";
import { plain } from "../store/shown-name.ts";

/** How many rows are shown at first, and with each click on more. */
const PAGE = 100;

const HEADS: readonly (readonly [Column, string, string])[] = [
  ["cost", "Cost", "US dollars, as Claude Code estimates them"],
  ["turns", "Turns", "Turns that have spent"],
  ["input", "Input", "Input tokens that were not cached"],
  ["output", "Output", "Output tokens"],
  ["read", "Cache read", "Input tokens read from the cache"],
  ["written", "Cache write", "Input tokens written to the cache"],
];

interface CostsTableProps {
  readonly context: PageContext;
  readonly view: CostsView;
  readonly rows: readonly CostRow[];
  readonly total: Spent;
  readonly change: (changes: Partial<CostsView>) => void;
}

/** The costs as a table. */
export function CostsTable({ context, view, rows, total, change }: CostsTableProps): View {
  const [shown, setShown] = useState(PAGE);
  const head = (column: Column, label: string, title?: string): View => {
    const sorted = view.order === column ? (view.descending ? "descending" : "ascending") : "none";
    return html`<th key=${column} scope="col" aria-sort=${sorted} class=${column === "name" ? "cost-name" : "number"}>
      <button type="button" title=${title} onClick=${() => change(orderedBy(view, column))}>${label}</button>
    </th>`;
  };
  const most = Math.max(0, ...rows.map(({ costUsd }) => costUsd));
  return html`<div class="table-frame" tabindex="0" role="region" aria-label="Costs as a table">
    <table class="costs-table">
      <thead><tr>${head("name", headOf(view))}${HEADS.map(([column, label, title]) => head(column, label, title))}</tr></thead>
      <tbody>
        ${rows.slice(0, shown).map(
          (row) => html`<tr key=${row.key}>
            <th scope="row" class="cost-name"><${RowName} context=${context} view=${view} row=${row} /></th>
            <td class="number">
              <span class="share" aria-hidden="true"><i style=${{ width: `${most === 0 ? 0 : (row.costUsd / most) * 100}%` }}></i></span>
              <span class="cost">${dollarsText(row.costUsd)}</span> <small>${shareText(row.costUsd, total.costUsd)}</small>
            </td>
            ${numbersOf(row)}
          </tr>`,
        )}
      </tbody>
      <tfoot><tr>
        <th scope="row" class="cost-name">Total</th>
        <td class="number"><span class="cost">${dollarsText(total.costUsd)}</span> <small></small></td>
        ${numbersOf(total)}
      </tr></tfoot>
    </table>
    ${
      rows.length > shown &&
      html`<p class="more-rows">
        ${countText(shown)} of ${countText(rows.length)} rows.
        <button class="button small" type="button" onClick=${() => setShown(shown + 5 * PAGE)}>Show more</button>
      </p>`
    }
  </div>`;
}

function numbersOf({ turns, input, output, read, written }: Spent): View[] {
  return [
    html`<td key="turns" class="number">${countText(turns)}</td>`,
    ...[input, output, read, written].map(
      (tokens, index) => html`<td key=${index} class="number" title=${countText(tokens)}>${shortText(tokens)}</td>`,
    ),
  ];
}

function headOf({ by, label }: CostsView): string {
  if (by === "label") return plain(label);
  return { day: "Day, UTC", model: "Model", session: "Session" }[by];
}

interface RowNameProps {
  readonly context: PageContext;
  readonly view: CostsView;
  readonly row: CostRow;
}

function RowName({ context: { fleet, navigation }, view, row }: RowNameProps): View {
  if (view.by === "day") return html`<span>${longDayText(row.label)}</span>`;
  // The server knows no session of an erased name.
  if (row.session === undefined || !fleet.rows.value.has(row.key)) return html`<span>${row.label}</span>`;
  return html`<a href=${navigation.href(pathOf({ page: "session", name: row.session }))}>${row.label}</a>`;
}
