import { useState } from "preact/hooks";
import type { BudgetReport } from "../../wire/budget.ts";
import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { budgetLeft, untilText } from "../store/budgets.ts";
import { countText, dollarsText, fullTimeText } from "../store/format.ts";
import { keyOf } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { plain, shownName } from "../store/shown-name.ts";
import { UsedBar } from "./card.ts";

/** How many budgets are shown at first. */
const FIRST = 6;

interface BudgetListProps {
  readonly context: PageContext;
  readonly budgets: readonly BudgetReport[];
}

/** The budgets, and what is left of each. */
export function BudgetList({ context, budgets }: BudgetListProps): View {
  const [all, setAll] = useState(false);
  const shown = all ? budgets : budgets.slice(0, FIRST);
  return html`<section class="panel" aria-labelledby="budgets">
    <header class="panel-head"><h2 id="budgets">Budgets</h2>
      <p>${budgets.length === 0 ? "" : "Those of sessions in memory, the most used first. Days end at midnight, UTC."}</p>
    </header>
    ${
      budgets.length === 0
        ? html`<p class="panel-empty">Nothing has a budget. The option <code>budget</code> of a supervisor, a session, a template or a pool sets one.</p>`
        : html`<ul class="budgets">
            ${shown.map((budget) => html`<${Budget} key=${budget.session === undefined ? (budget.global ? "global" : "") : keyOf(budget.session)} context=${context} budget=${budget} />`)}
          </ul>`
    }
    ${
      budgets.length > shown.length &&
      html`<p class="more-rows"><button class="button small" type="button" onClick=${() => setAll(true)}>
        Show all ${countText(budgets.length)}
      </button></p>`
    }
  </section>`;
}

interface BudgetProps {
  readonly context: PageContext;
  readonly budget: BudgetReport;
}

function Budget({ context: { fleet, navigation }, budget }: BudgetProps): View {
  const { session, global, template, pool, limitUsd, spentUsd, per, resetsAt } = budget;
  const left = budgetLeft(budget);
  const owner =
    session === undefined
      ? global
        ? "cluster"
        : "supervisor"
      : template !== undefined
        ? `template ${plain(template)}`
        : pool !== undefined
          ? `pool ${plain(pool)}`
          : "session";
  const reset =
    resetsAt === undefined
      ? "never resets"
      : html`<span title=${fullTimeText(resetsAt)}>resets in ${untilText(resetsAt, fleet.now.value)}</span>`;
  return html`<li class=${left === 0 ? "budget spent" : "budget"}>
    <span class="budget-name">
      ${
        session === undefined
          ? html`<b>${global ? "All global sessions" : "All sessions"}</b>`
          : html`<a href=${navigation.href(pathOf({ page: "session", name: session }))}>${shownName(session)}</a>`
      }
    </span>
    <span class="budget-sum">${dollarsText(spentUsd)} of ${dollarsText(limitUsd)}${per === "day" ? " a day" : ""}</span>
    <${UsedBar} used=${limitUsd === 0 ? 1 : spentUsd / limitUsd} />
    <span class="budget-note">
      <span class="tag">${owner}</span>
      ${left === 0 ? html`<b class="bad" title="New turns are refused.">Spent</b>` : html`<span>${dollarsText(left)} left</span>`}
      <span class="budget-reset">${reset}</span>
    </span>
  </li>`;
}
