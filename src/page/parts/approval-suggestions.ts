import type { Approval } from "../../wire/approval.ts";
import { html, type View } from "../html.ts";
import { type ApprovalDraft, withNumber } from "../store/approval-draft.ts";
import { plain } from "../store/shown-name.ts";
import { suggestionText } from "../store/suggestion-text.ts";
import { Icon } from "./icon.ts";

interface ApprovalSuggestionsProps {
  readonly approval: Approval;
  readonly draft: ApprovalDraft;
  readonly disabled: boolean;
  readonly change: (draft: ApprovalDraft) => void;
}

/** What the session may do from then on, if the operator ticks it. */
export function ApprovalSuggestions({ approval, draft, disabled, change }: ApprovalSuggestionsProps): View {
  if (approval.suggestions.length === 0) return null;
  return html`<fieldset class="suggestions" disabled=${disabled}>
    <legend>If you allow it, also</legend>
    ${approval.suggestions.map((update, index) => {
      const { what, where, wide } = suggestionText(update);
      return html`<label key=${index} class="choice">
        <kbd aria-hidden="true">${!disabled && index < 9 ? index + 1 : ""}</kbd>
        <input
          type="checkbox"
          checked=${draft.ticked.includes(index)}
          onChange=${() => change(withNumber(approval, draft, index + 1))}
        />
        <span class="choice-text">
          <b>${plain(what)}</b>
          <span class="quiet">${where}</span>
          ${wide && html`<span class="warn"><${Icon} name="warning" />It allows much more than this one use.</span>`}
        </span>
      </label>`;
    })}
  </fieldset>`;
}
