import { useLayoutEffect, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { ApprovalCard } from "../store/approval-card.ts";
import { type ApprovalDraft, allowanceOf } from "../store/approval-draft.ts";
import type { ApprovalInbox } from "../store/approval-inbox.ts";
import { fieldText } from "../store/field-text.ts";
import { plural } from "../store/format.ts";
import { notifyFailure } from "../store/page-context.ts";
import { editableInput } from "../store/tool-input.ts";

interface ApprovalAnswerProps {
  readonly inbox: ApprovalInbox;
  readonly card: ApprovalCard;
  readonly draft: ApprovalDraft;
}

/** Allows the tool as the draft says. Tells the operator why a draft cannot be sent. */
export function allow(inbox: ApprovalInbox, { approval }: ApprovalCard): void {
  try {
    const allowance = allowanceOf(approval, inbox.draftOf(approval));
    void inbox.decide(approval, { kind: "allow", allowance });
  } catch (error) {
    notifyFailure(error);
  }
}

/** The buttons that answer an approval, and the fields for a reason and for a changed input. */
export function ApprovalAnswer({ inbox, card, draft }: ApprovalAnswerProps): View {
  const { approval, state } = card;
  const busy = state.is !== "open";
  const change = (changes: Partial<ApprovalDraft>): void => inbox.change(approval, { ...draft, ...changes });
  const deny = (): void => void inbox.decide(approval, { kind: "deny", message: draft.reason });
  const cancel = (): void => {
    change({ mode: "choose" });
    document.getElementById(`approval-${approval.id}`)?.focus({ preventScroll: true });
  };
  const isPlan = approval.tool === "ExitPlanMode";
  if (draft.mode === "deny") {
    return html`<${Field}
      label=${isPlan ? "What should change in the plan? Claude is told" : "Why not? Claude is told"}
      text=${draft.reason}
      rows=${2}
      busy=${busy}
      confirm=${isPlan ? "Keep planning" : "Deny"}
      tone="danger"
      onText=${(reason: string) => change({ reason })}
      onConfirm=${deny}
      onCancel=${cancel}
    />`;
  }
  const rules = draft.ticked.length;
  const also = rules === 0 ? "" : `, with ${plural(rules, "change")} of permissions`;
  if (draft.mode === "edit") {
    const { label, text } = editableInput(approval.tool, approval.input);
    return html`<${Field}
      label=${label}
      text=${draft.edited ?? text}
      rows=${6}
      busy=${busy}
      confirm=${`Allow this instead${also}`}
      tone="primary"
      code
      onText=${(edited: string) => change({ edited })}
      onConfirm=${() => allow(inbox, card)}
      onCancel=${cancel}
    />`;
  }
  const isQuestion = approval.questions !== undefined;
  const verb = isQuestion ? "Send answers" : isPlan ? "Approve the plan" : "Allow";
  return html`<div class="approval-buttons">
    <button class="button primary" type="button" disabled=${busy} aria-keyshortcuts="a" onClick=${() => allow(inbox, card)}>
      ${busy ? "Sending…" : `${verb}${also}`}<kbd aria-hidden="true">a</kbd>
    </button>
    <button class="button danger" type="button" disabled=${busy} aria-keyshortcuts="d" onClick=${() => change({ mode: "deny" })}>
      ${isPlan ? "Keep planning" : isQuestion ? "Do not answer" : "Deny"}…<kbd aria-hidden="true">d</kbd>
    </button>
    ${
      !isQuestion &&
      !isPlan &&
      html`<button class="button quiet" type="button" disabled=${busy} aria-keyshortcuts="e" onClick=${() => change({ mode: "edit" })}>
        Change input…<kbd aria-hidden="true">e</kbd>
      </button>`
    }
  </div>`;
}

interface FieldProps {
  readonly label: string;
  readonly text: string;
  readonly rows: number;
  readonly busy: boolean;
  readonly confirm: string;
  readonly tone: "primary" | "danger";
  /** Whether Enter begins a line, so that Ctrl and Enter confirm. */
  readonly code?: boolean;
  readonly onText: (text: string) => void;
  readonly onConfirm: () => void;
  readonly onCancel: () => void;
}

/** A field that has the focus as soon as it appears. */
function Field({
  label,
  text,
  rows,
  busy,
  confirm,
  tone,
  code = false,
  onText,
  onConfirm,
  onCancel,
}: FieldProps): View {
  const field = useRef<HTMLTextAreaElement>(null);
  // Before the next key can come: it is part of the text.
  useLayoutEffect(() => {
    field.current?.focus({ preventScroll: true });
    field.current?.closest(".approval-field")?.scrollIntoView({ block: "nearest" });
  }, []);
  const onKey = (event: KeyboardEvent): void => {
    // An input method takes the keys to choose a word.
    if (event.isComposing) return;
    if (event.key === "Escape") onCancel();
    else if (event.key !== "Enter" || event.shiftKey || (code && !event.ctrlKey && !event.metaKey)) return;
    else if (!event.repeat && !busy) onConfirm();
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="approval-field">
    <label>
      <span>${label}</span>
      <textarea
        ref=${field}
        class=${code ? "text-field code" : "text-field"}
        rows=${rows}
        spellcheck=${!code}
        value=${text}
        readonly=${busy}
        onInput=${(event: Event) => onText(fieldText(event))}
        onKeyDown=${onKey}
      ></textarea>
    </label>
    <div class="approval-buttons">
      <button class=${`button ${tone}`} type="button" disabled=${busy} onClick=${onConfirm}>
        ${busy ? "Sending…" : confirm}<kbd aria-hidden="true">${code ? "Ctrl ↵" : "↵"}</kbd>
      </button>
      <button class="button quiet" type="button" onClick=${onCancel}>Cancel<kbd aria-hidden="true">Esc</kbd></button>
    </div>
  </div>`;
}
