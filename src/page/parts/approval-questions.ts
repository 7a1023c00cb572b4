import type { Approval } from "../../wire/approval.ts";
import { html, type View } from "../html.ts";
import { type ApprovalDraft, withNumber, withOther } from "../store/approval-draft.ts";
import { fieldText } from "../store/field-text.ts";
import { exactLines, plain } from "../store/shown-name.ts";

interface ApprovalQuestionsProps {
  readonly approval: Approval;
  readonly draft: ApprovalDraft;
  readonly disabled: boolean;
  readonly change: (draft: ApprovalDraft) => void;
}

/** Claude's questions with their options, and a field for other words. */
export function ApprovalQuestions({ approval, draft, disabled, change }: ApprovalQuestionsProps): View {
  const { id, questions = [] } = approval;
  return html`${questions.map(({ question, header, options, multiSelect }, index) => {
    const { options: chosen = [], other = "" } = draft.choices[index] ?? {};
    const at = { ...draft, question: index };
    const isCurrent = index === draft.question && !disabled;
    return html`<fieldset
      key=${index}
      class=${isCurrent ? "question current" : "question"}
      disabled=${disabled}
      onFocusIn=${() => !isCurrent && change(at)}
    >
      <legend>
        ${header !== "" && html`<span class="tag">${plain(header)}</span> `}${exactLines(question)}
        <span class="question-kind quiet"> ${multiSelect ? "Choose any" : "Choose one"}</span>
      </legend>
      ${options.map(
        ({ label, description, preview }, option) => html`<label key=${option} class="choice">
          <kbd aria-hidden="true">${isCurrent && option < 9 ? option + 1 : ""}</kbd>
          <input
            type=${multiSelect ? "checkbox" : "radio"}
            name=${`${id} ${index}`}
            checked=${chosen.includes(option)}
            onChange=${() => change(withNumber(approval, at, option + 1))}
          />
          <span class="choice-text">
            <b>${exactLines(label)}</b>
            ${description !== "" && html`<span class="quiet">${exactLines(description)}</span>`}
            ${preview !== undefined && html`<pre>${exactLines(preview)}</pre>`}
          </span>
        </label>`,
      )}
      <label class="choice">
        <kbd aria-hidden="true">${isCurrent ? "o" : ""}</kbd>
        <span class="unseen">Another answer to ${exactLines(question)}</span>
        <input
          class="text-field other"
          type="text"
          placeholder="In your own words"
          autocomplete="off"
          value=${other}
          onInput=${(event: Event) => change(withOther(questions, at, fieldText(event)))}
        />
      </label>
    </fieldset>`;
  })}`;
}
