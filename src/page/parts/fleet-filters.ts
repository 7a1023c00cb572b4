import type { FoundState } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { fieldText } from "../store/field-text.ts";
import { type FleetView, ORDERS, type Order } from "../store/fleet-view.ts";
import { countText } from "../store/format.ts";
import { plain } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";
import { SearchBox } from "./search-box.ts";

/** Always shown, so that a click does not meet another state than the one aimed at. */
const USUAL: readonly FoundState[] = ["quarantined", "waiting", "busy", "idle", "hibernated"];

const ORDER_LABELS: Readonly<Record<Order, string>> = {
  attention: "Needs attention first",
  name: "Name",
  activity: "Latest activity",
  memory: "Most memory",
  restarts: "Most restarts",
};

interface FleetFiltersProps {
  readonly view: FleetView;
  /** The number of sessions that match words and labels, by state. */
  readonly counts: ReadonlyMap<FoundState, number>;
  readonly total: number;
  readonly change: (changes: Partial<FleetView>) => void;
}

/** Search, states, labels and order of the list. */
export function FleetFilters({ view, counts, total, change }: FleetFiltersProps): View {
  const { text, states, labels, order } = view;
  const toggle = (state: FoundState): void =>
    change({ states: states.includes(state) ? states.filter((other) => other !== state) : [...states, state] });
  return html`<section class="filters" aria-label="Filters">
    <${SearchBox} main text=${text} placeholder="Search names, titles, labels" label="Search names, titles and labels" change=${(words: string) => change({ text: words })} />
    <label class="order">
      <span class="unseen">Order</span>
      <select onChange=${(event: Event) => change({ order: fieldText(event) as Order })}>
        ${ORDERS.map((one) => html`<option key=${one} value=${one} selected=${one === order}>${ORDER_LABELS[one]}</option>`)}
      </select>
    </label>
    <div class="chips" role="group" aria-label="States">
      <button class="chip" type="button" aria-pressed=${String(states.length === 0)} onClick=${() => change({ states: [] })}>
        All <b>${countText(total)}</b>
      </button>
      ${[...new Set([...USUAL, ...counts.keys(), ...states])].map(
        (state) => html`<button
          key=${state}
          class=${`chip is-${state}${counts.has(state) ? "" : " none"}`}
          type="button"
          aria-pressed=${String(states.includes(state))}
          onClick=${() => toggle(state)}
        >
          <i></i>${state} <b>${countText(counts.get(state) ?? 0)}</b>
        </button>`,
      )}
      ${labels.map(
        (label) => html`<button
          key=${`=${label}`}
          class="chip label"
          type="button"
          aria-label=${`Remove the filter ${plain(label)}`}
          onClick=${() => change({ labels: labels.filter((other) => other !== label) })}
        >
          ${plain(label)}<${Icon} name="close" />
        </button>`,
      )}
    </div>
  </section>`;
}
