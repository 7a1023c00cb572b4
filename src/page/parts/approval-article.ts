import { useEffect, useRef } from "preact/hooks";
import type { Approval } from "../../wire/approval.ts";
import type { TurnSummary } from "../../wire/turn.ts";
import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { type ApprovalCard, settlementText } from "../store/approval-card.ts";
import type { ApprovalInbox } from "../store/approval-inbox.ts";
import { fullTimeText, sinceText, timeLeft } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { exactLines, plain, shownName } from "../store/shown-name.ts";
import { toolInputOf } from "../store/tool-input.ts";
import { ApprovalAnswer } from "./approval-answer.ts";
import { ApprovalQuestions } from "./approval-questions.ts";
import { ApprovalSuggestions } from "./approval-suggestions.ts";
import { Icon } from "./icon.ts";
import { ToolInputView } from "./tool-input.ts";

interface ApprovalArticleProps {
  readonly context: PageContext;
  readonly inbox: ApprovalInbox;
  readonly card: ApprovalCard;
  readonly selected: boolean;
  readonly select: (id: string) => void;
}

/** When less time is left, the countdown warns. */
const SOON_MS = 60_000;

/** An approval: what is asked, by whom, and the answer. */
export function ApprovalArticle({ context, inbox, card, selected, select }: ApprovalArticleProps): View {
  const { approval, state } = card;
  const { id, session, tool, title, reason, questions, turnId } = approval;
  const article = useRef<HTMLElement>(null);
  useEffect(() => {
    // A card that moves away under a pressed mouse button would get no click.
    if (selected && article.current?.matches(":active") === false) article.current.scrollIntoView({ block: "nearest" });
  }, [selected]);
  const mayDecide = context.fleet.may("approve");
  const disabled = state.is !== "open" || !mayDecide;
  const draft = inbox.draftOf(approval);
  const change = (next: typeof draft): void => inbox.change(approval, next);
  const turn = turnId === undefined ? undefined : inbox.turns.value.get(turnId);
  const facts = { approval, draft, disabled, change };
  return html`<article
    ref=${article}
    id=${`approval-${id}`}
    class=${`approval is-${state.is}${selected ? " selected" : ""}`}
    tabindex="0"
    aria-labelledby=${`tool-${id}`}
    aria-current=${selected ? "true" : undefined}
    onFocusIn=${() => select(id)}
    onPointerDown=${() => select(id)}
  >
    <header>
      <h2 id=${`tool-${id}`}>
        <span class="approval-tool">${headingOf(approval)}</span>
        <span class="quiet"> in </span>
        <a class="approval-session" href=${context.navigation.href(pathOf({ page: "session", name: session }))}>${shownName(session)}</a>
      </h2>
      <${Times} context=${context} approval=${approval} isOpen=${state.is === "open"} />
    </header>
    <${Asker} turn=${turn} />
    ${title !== undefined && html`<p class="approval-title">${exactLines(title)}</p>`}
    ${reason !== undefined && html`<p class="quiet">${exactLines(reason)}</p>`}
    ${
      questions === undefined
        ? html`<${ToolInputView} input=${toolInputOf(tool, approval.input)} />
            <${ApprovalSuggestions} ...${facts} />`
        : html`<${ApprovalQuestions} ...${facts} />`
    }
    <footer>
      ${
        state.is === "settled"
          ? html`<${Settled} context=${context} inbox=${inbox} card=${card} />`
          : mayDecide
            ? html`<${ApprovalAnswer} inbox=${inbox} card=${card} draft=${draft} />`
            : html`<p class="quiet">You may look, but not decide: that needs the scope <code>approve</code>.</p>`
      }
    </footer>
  </article>`;
}

function headingOf({ tool, questions }: Approval): string {
  if (questions !== undefined) return "Questions";
  return tool === "ExitPlanMode" ? "Plan" : plain(tool);
}

/** How old it is, and what happens when nobody answers. */
function Times(props: { readonly context: PageContext; readonly approval: Approval; readonly isOpen: boolean }): View {
  const { requestedAt, expiresAt } = props.approval;
  const now = props.context.fleet.now.value;
  const soon = expiresAt - now < SOON_MS;
  return html`<p class="approval-times">
    <time title=${fullTimeText(requestedAt)}>asked ${sinceText(requestedAt, now)}</time>
    ${
      props.isOpen &&
      html`<span class=${soon ? "time-left soon" : "time-left"} title=${`${fullTimeText(expiresAt)}. Claude is then told that nobody answered, and goes on without it.`}>
        <${Icon} name="clock" />${expiresAt <= now ? "time is over" : `denied by itself in ${timeLeft(expiresAt, now)}`}
      </span>`
    }
  </p>`;
}

const ORIGINS = { caller: "a caller", task: "a background task", schedule: "a schedule" } as const;

/** Whose turn it is. Its line is there before it is known, so that nothing moves when it comes. */
function Asker({ turn }: { readonly turn: TurnSummary | undefined }): View {
  if (turn === undefined) return html`<p class="approval-turn quiet"> </p>`;
  const { by, origin, prompt } = turn;
  return html`<p class="approval-turn quiet" title=${plain(prompt)}>
    Turn of ${by === undefined ? ORIGINS[origin] : plain(by)}${prompt !== "" && html`: <q>${plain(prompt)}</q>`}
  </p>`;
}

interface SettledProps {
  readonly context: PageContext;
  readonly inbox: ApprovalInbox;
  readonly card: ApprovalCard;
}

/** Who decided what. */
function Settled({ context, inbox, card: { approval, state } }: SettledProps): View {
  if (state.is !== "settled") return null;
  const { settlement } = state;
  const { outcome, at, message } = settlement;
  return html`<p class=${`settlement is-${outcome}`}>
      <${Icon} name=${outcome === "approved" ? "check" : "close"} />
      <span>
        <b>${plain(settlementText(approval.tool, settlement))}</b>
        ${at !== undefined && html`<time class="quiet" title=${fullTimeText(at)}> ${sinceText(at, context.fleet.now.value)}</time>`}
        ${message !== undefined && html`<span class="settlement-message">${plain(message)}</span>`}
      </span>
    </p>
    <button class="button small quiet" type="button" onClick=${() => inbox.clear(approval.id)}>Dismiss</button>`;
}
