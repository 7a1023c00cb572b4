import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { timeText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import type { EventOf, ToolState } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { toolInputOf } from "../store/tool-input.ts";
import type { ReadContent } from "./content-view.ts";
import { Facts } from "./facts.ts";
import { shownWith } from "./tool-call.ts";
import { ToolInputView } from "./tool-input.ts";

interface ApprovalViewProps {
  readonly context: PageContext;
  readonly read: ReadContent;
  readonly event: EventOf<"approval_requested"> | EventOf<"approval_settled">;
  readonly settled: EventOf<"approval_settled"> | undefined;
  readonly state: ToolState;
}

/** What was asked for, and who decided what, when. */
export function ApprovalView({ context, read, event, settled, state }: ApprovalViewProps): View {
  if (event.type === "approval_settled") return html`<${Outcome} event=${event} isPart=${false} />`;
  const input = toolInputOf(event.tool, event.input);
  const isOpen = state === "asking";
  const what = event.title === undefined ? `Asks to use ${plain(input.label)}` : plain(event.title);
  return html`<details class="tool" open=${isOpen}>
      <summary><b>${what}</b> <span class="tool-brief">${plain(input.brief)}</span></summary>
      ${event.reason !== undefined && html`<p class="tool-part quiet">${plain(event.reason)}</p>`}
      <${ToolInputView} input=${input} show=${shownWith(read)} />
    </details>
    ${settled !== undefined && html`<${Outcome} event=${settled} isPart=${true} />`}
    ${
      isOpen &&
      html`<p class="outcome warn">
        Waits for an answer until ${timeText(event.expiresAt, Date.now())}.
        <a class="button small" href=${context.navigation.href(pathOf({ page: "approvals" }))}>Answer</a>
      </p>`
    }
    ${state === "cut" && html`<p class="outcome quiet">Never answered: the turn or the process ended.</p>`}`;
}

const CAUSES: Readonly<Record<string, string>> = {
  turn_stopped: "the turn was stopped",
  taken_back: "Claude Code took it back",
  process_ended: "the process ended",
  session_stopped: "the session was stopped",
  moved: "the session moved",
  application_ended: "the application ended",
};

/** @param isPart whether the request is shown above */
function Outcome({ event, isPart }: { readonly event: EventOf<"approval_settled">; readonly isPart: boolean }): View {
  const { outcome, by, at, message, cause, answers, tool, number, input } = event;
  const text = [
    `${outcome[0]?.toUpperCase()}${outcome.slice(1)}`,
    tool === undefined || isPart ? undefined : `(${plain(tool)})`,
    by === undefined ? undefined : `by ${plain(by)}`,
    `at ${timeText(at, Date.now())}`,
    input === undefined ? undefined : "with another input",
    cause === undefined ? undefined : `because ${CAUSES[cause] ?? plain(cause)}`,
    message === undefined ? undefined : `: ${plain(message)}`,
  ];
  return html`<div class=${`outcome is-${outcome}`}>
    <a href=${`#event-${number}`}>${text.filter((part) => part !== undefined).join(" ")}</a>
    ${
      answers !== undefined &&
      html`<${Facts} facts=${Object.entries(answers).map(([question, answer]) => [plain(question), plain(answer)])} />`
    }
  </div>`;
}
