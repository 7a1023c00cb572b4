import { html, type View } from "../html.ts";
import { countText } from "../store/format.ts";
import { EVENT_GROUPS, type EventGroup, type RecordView } from "../store/record-view.ts";
import { Icon } from "./icon.ts";

const LABELS: Readonly<Record<EventGroup, string>> = {
  texts: "Texts",
  tools: "Tools",
  approvals: "Approvals",
  lifecycle: "Lifecycle",
  costs: "Costs",
  tasks: "Tasks",
  notes: "Notes",
  other: "Other",
};

interface RecordFiltersProps {
  readonly view: RecordView;
  /** How many new events wait. */
  readonly waiting: number;
  readonly change: (changes: Partial<RecordView>) => void;
}

/** What of the record is shown. */
export function RecordFilters({ view, waiting, change }: RecordFiltersProps): View {
  const { groups, failed, paused } = view;
  const toggle = (group: EventGroup): void =>
    change({ groups: groups.includes(group) ? groups.filter((other) => other !== group) : [...groups, group] });
  const wait = waiting === 0 ? "" : ` (${countText(waiting)} new)`;
  return html`<div class="record-filters" role="group" aria-label="Filters of the record">
    <button class="chip" type="button" aria-pressed=${paused} onClick=${() => change({ paused: !paused })}>
      <${Icon} name=${paused ? "play" : "pause"} />${paused ? `Resume${wait}` : "Pause"}
    </button>
    <button class="chip" type="button" aria-pressed=${failed} onClick=${() => change({ failed: !failed })}>
      <${Icon} name="warning" />Failed
    </button>
    ${EVENT_GROUPS.map(
      (group) =>
        html`<button key=${group} class="chip" type="button" aria-pressed=${groups.includes(group)} onClick=${() => toggle(group)}>${LABELS[group]}</button>`,
    )}
  </div>`;
}
