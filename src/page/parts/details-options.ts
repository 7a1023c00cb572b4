import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { plural } from "../store/format.ts";
import { optionRows } from "../store/option-rows.ts";
import { foundIn } from "../store/session-details.ts";
import { notRead, Section, type SectionProps } from "./details-section.ts";

/** The options in effect, and where each comes from. */
export function DetailsOptions({ details }: SectionProps): View {
  const [all, setAll] = useState(false);
  const { value: read } = details.inspection;
  const inspection = foundIn(read);
  if (inspection === undefined) return html`<${Section} title="Options">${notRead(read)}<//>`;
  if (inspection.options === undefined) {
    return html`<${Section} title="Options"><p class="quiet">Not known: the session has ended, and no template makes it.</p><//>`;
  }
  const rows = optionRows(inspection);
  const defaults = rows.filter(({ isDefault }) => isDefault).length;
  const shown = all ? rows : rows.filter(({ isDefault }) => !isDefault);
  return html`<${Section} title="Options">
    <p class="quiet">Of options that may hold secrets, only names are shown.</p>
    <dl class="options">
      ${shown.map(
        ({ name, value, origin, isDefault }) => html`<div key=${name}>
          <dt>${name}</dt>
          <dd class="option-value">${value}</dd>
          <dd class=${isDefault ? "option-origin quiet" : "option-origin"}>${origin}</dd>
        </div>`,
      )}
    </dl>
    ${
      defaults > 0 &&
      html`<button class="button small" type="button" aria-expanded=${String(all)} onClick=${() => setAll(!all)}>
        ${all ? "Hide" : "Show"} ${plural(defaults, "built-in default")}
      </button>`
    }
  <//>`;
}
