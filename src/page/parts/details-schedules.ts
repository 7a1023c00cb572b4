import type { Schedule } from "../../wire/schedule.ts";
import { html, type View } from "../html.ts";
import { fullTimeText, timeText } from "../store/format.ts";
import { valueText } from "../store/option-rows.ts";
import { confirmed, notifyFailure } from "../store/page-context.ts";
import { foundIn } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";
import { notRead, Section, type SectionProps } from "./details-section.ts";

/** Prompts that run later, and turns that Claude has scheduled for itself. */
export function DetailsSchedules({ context, name, session, details }: SectionProps): View {
  const { fleet, link } = context;
  const now = fleet.now.value;
  const schedules = foundIn(details.schedules.value);
  const wakeups = session?.status?.wakeups ?? [];
  const talks = fleet.may("talk");
  const cancel = async ({ id, prompt, every }: Schedule): Promise<void> => {
    const what = every === undefined ? "The prompt does not run." : "The prompt does not run again.";
    const text = `${what} ${plain(prompt)}`;
    if (!(await confirmed({ title: "Cancel the schedule?", text, confirm: "Cancel the schedule" }))) return;
    try {
      await link.client.session(name).cancelSchedule(id);
    } catch (error) {
      notifyFailure(error);
    }
    await details.readSchedules();
  };
  const isEmpty = schedules?.length === 0 && wakeups.length === 0;
  return html`<${Section} title="Schedules">
    ${schedules === undefined && notRead(details.schedules.value)}
    ${isEmpty && html`<p class="quiet">None.</p>`}
    <ul class="schedules">
      ${(schedules ?? []).map(
        (schedule) => html`<li key=${schedule.id}>
          <span>
            <b title=${fullTimeText(schedule.nextAt)}>${timeText(schedule.nextAt, now)}</b>
            <span class="quiet">${repetition(schedule)}</span>
          </span>
          <span class="schedule-prompt">${plain(schedule.prompt)}</span>
          ${talks && html`<button class="text-button" type="button" onClick=${() => void cancel(schedule)}>Cancel</button>`}
        </li>`,
      )}
      ${wakeups.map(
        ({ id, at, recurring }) => html`<li key=${`wakeup ${id}`}>
          <span><b>${at === undefined ? "later" : timeText(at, now)}</b><span class="quiet">${recurring ? ", again and again" : ""}</span></span>
          <span class="schedule-prompt quiet">scheduled by Claude, in its process</span>
        </li>`,
      )}
    </ul>
  <//>`;
}

function repetition({ every, timezone }: Schedule): string {
  if (every === undefined) return ", once";
  return typeof every === "number"
    ? `, every ${valueText("timeout", every)}`
    : `, ${plain(every)}${timezone === undefined ? "" : ` ${plain(timezone)}`}`;
}
