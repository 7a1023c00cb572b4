import { html, type View } from "../html.ts";
import { dollarsText, shortText } from "../store/format.ts";
import { foundIn } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";
import { notRead, Section, type SectionProps } from "./details-section.ts";

/** What the session has spent, by model. */
export function DetailsSpending({ details }: SectionProps): View {
  const reports = foundIn(details.spending.value);
  const budget = foundIn(details.inspection.value)?.budget;
  const total = (reports ?? []).reduce((sum, { costUsd }) => sum + costUsd, 0);
  return html`<${Section} title="Spending" action=${reports === undefined ? null : html`<b>${dollarsText(total)}</b>`}>
    ${
      budget !== undefined &&
      html`<p>
        ${dollarsText(budget.spentUsd)} of ${dollarsText(budget.limitUsd)} ${budget.per === "day" ? "today" : "in all"}
        <meter min="0" max=${budget.limitUsd} value=${budget.spentUsd} aria-label="Part of the budget that is spent"></meter>
      </p>`
    }
    ${
      reports === undefined
        ? notRead(details.spending.value)
        : reports.length === 0
          ? html`<p class="quiet">Nothing so far.</p>`
          : html`<table class="details-table">
              <thead><tr><th scope="col">Model</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th><th scope="col" class="number">Cost</th></tr></thead>
              <tbody>
                ${reports.map(
                  ({ model = "unknown", usage, costUsd }) => html`<tr key=${model}>
                    <th scope="row">${plain(model)}</th>
                    <td class="number" title="Tokens, with those of the cache">${shortText(usage.inputTokens + usage.cacheReadInputTokens + usage.cacheCreationInputTokens)}</td>
                    <td class="number">${shortText(usage.outputTokens)}</td>
                    <td class="number">${dollarsText(costUsd)}</td>
                  </tr>`,
                )}
              </tbody>
            </table>`
    }
  <//>`;
}
