import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { settlementText } from "../store/approval-card.ts";
import { fullTimeText, timeText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import type { SettledApproval } from "../store/past-approvals.ts";
import { plain, shownName } from "../store/shown-name.ts";
import { toolInputOf } from "../store/tool-input.ts";

interface ApprovalHistoryProps {
  readonly context: PageContext;
  readonly history: readonly SettledApproval[];
}

/** What has been decided lately, the newest first. */
export function ApprovalHistory({ context, history }: ApprovalHistoryProps): View {
  if (history.length === 0) return null;
  return html`<section class="past" aria-labelledby="past-title">
    <h2 id="past-title">Decided lately</h2>
    <ol>
      ${history.map(
        ({ id, session, tool, input, outcome, settledAt, by, message }) => html`<li key=${id}>
          <time title=${fullTimeText(settledAt)}>${timeText(settledAt, context.fleet.now.value)}</time>
          <a class="past-session" href=${context.navigation.href(pathOf({ page: "session", name: session }))}>${shownName(session)}</a>
          <span class="past-input"><b>${plain(tool)}</b> <code>${plain(toolInputOf(tool, input).brief)}</code></span>
          <span class=${`past-outcome is-${outcome}`}>
            ${plain(settlementText(tool, { outcome, mine: false, by }))}${message !== undefined && outcome === "denied" && html`: ${plain(message)}`}
          </span>
        </li>`,
      )}
    </ol>
  </section>`;
}
