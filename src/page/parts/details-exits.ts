import { html, type View } from "../html.ts";
import { fullTimeText, timeText } from "../store/format.ts";
import { foundIn } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";
import { Section, type SectionProps } from "./details-section.ts";
import { LongText } from "./long-text.ts";

/** How processes of the session ended unexpectedly, the last first. */
export function DetailsExits({ context, session, details }: SectionProps): View {
  const now = context.fleet.now.value;
  const last = session?.status?.lastExit;
  const known = foundIn(details.inspection.value)?.lastExits ?? [];
  // Whoever may not see the inspection sees the last one in the status.
  const exits = known.length > 0 || last === undefined || last.class === "done" ? known : [last];
  return html`<${Section} title="Last exits">
    ${exits.length === 0 && html`<p class="quiet">None was unexpected.</p>`}
    <ul class="details-exits">
      ${exits.toReversed().map(
        (exit) => html`<li key=${`${exit.at} ${exit.pid ?? ""}`}>
          <span><b title=${fullTimeText(exit.at)}>${timeText(exit.at, now)}</b> <span class="tag">${plain(exit.class)}</span></span>
          <span>${plain(exit.message)}</span>
          ${
            exit.stderr !== undefined &&
            exit.stderr !== "" &&
            html`<details><summary>stderr</summary><${LongText} text=${exit.stderr} label="stderr" kind="output" /></details>`
          }
        </li>`,
      )}
    </ul>
  <//>`;
}
