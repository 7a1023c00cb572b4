import { html, type View } from "../html.ts";
import { type CostsView, GROUPINGS, type Grouping } from "../store/costs-view.ts";
import { fieldText } from "../store/field-text.ts";
import { isDay, LENGTHS, type Period, withEnd } from "../store/period.ts";
import { plain } from "../store/shown-name.ts";

const GROUPING_LABELS: Readonly<Record<Grouping, string>> = {
  day: "Day",
  model: "Model",
  label: "Label",
  session: "Session",
};

interface CostsControlsProps {
  readonly view: CostsView;
  readonly period: Period;
  readonly today: string;
  /** The names of labels to choose from. */
  readonly labels: readonly string[];
  readonly change: (changes: Partial<CostsView>) => void;
}

/** The period, and what the table has a row for. */
export function CostsControls({ view, period, today, labels, change }: CostsControlsProps): View {
  const custom = typeof view.period !== "number";
  const pick = (end: keyof Period) => (event: Event) => {
    const day = fieldText(event);
    if (!isDay(day)) return;
    change({ period: withEnd(period, end, day) });
  };
  return html`<section class="costs-controls" aria-label="Period and grouping">
    <div class="segments" role="group" aria-label="Period">
      ${LENGTHS.map(
        (days) => html`<button
          key=${days}
          type="button"
          aria-pressed=${String(view.period === days)}
          onClick=${() => change({ period: days })}
        >${days} days</button>`,
      )}
      <button type="button" aria-pressed=${String(custom)} onClick=${() => change({ period })}>Custom</button>
    </div>
    ${
      custom &&
      html`<div class="dates">
        <input type="date" aria-label="First day, UTC" value=${period.from} max=${today} onChange=${pick("from")} />
        <span aria-hidden="true">–</span>
        <input type="date" aria-label="Last day, UTC" value=${period.to} max=${today} onChange=${pick("to")} />
      </div>`
    }
    <div class="grouping">
      <div class="segments" role="group" aria-label="Group by">
        ${GROUPINGS.filter((by) => by !== "label" || labels.length > 0).map(
          (by) => html`<button
            key=${by}
            type="button"
            aria-pressed=${String(view.by === by)}
            onClick=${() => change({ by, label: by === "label" ? (labels[0] ?? "") : "" })}
          >${GROUPING_LABELS[by]}</button>`,
        )}
      </div>
      ${
        view.by === "label" &&
        html`<select
          class="label-select"
          aria-label="Label"
          onChange=${(event: Event) => change({ label: fieldText(event) })}
        >
          ${labels.map((label) => html`<option key=${label} value=${label} selected=${label === view.label}>${plain(label)}</option>`)}
        </select>`
      }
    </div>
  </section>`;
}
