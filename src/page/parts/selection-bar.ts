import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { ACTIONS } from "../store/actions.ts";
import { carryOut } from "../store/carry-out.ts";
import { countText, plural } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { possibleActions } from "./session-menu.ts";

interface SelectionBarProps {
  readonly context: PageContext;
  readonly sessions: readonly SessionInfo[];
  readonly clear: () => void;
}

/** What can be done with the selected sessions. */
export function SelectionBar({ context, sessions, clear }: SelectionBarProps): View {
  if (sessions.length === 0) return null;
  const actions = possibleActions(context, sessions);
  return html`<section class="selection" aria-label="Selected sessions">
    <span>${plural(sessions.length, "session")} selected</span>
    <div class="selection-actions">
      ${actions.map((action) => {
        const { label, applies } = ACTIONS[action];
        const count = sessions.filter(applies).length;
        return html`<button
          key=${action}
          type="button"
          class=${action === "stop" ? "button small danger" : "button small"}
          title=${`${label} ${plural(count, "session")}`}
          onClick=${() => void carryOut(context, action, sessions)}
        >
          ${label}${count < sessions.length && html` <b>${countText(count)}</b>`}
        </button>`;
      })}
      <button class="button small quiet" type="button" onClick=${clear}>Clear</button>
    </div>
  </section>`;
}
