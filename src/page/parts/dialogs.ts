import { useEffect, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { dismiss, notices, question } from "../store/page-context.ts";
import { Icon } from "./icon.ts";

/** Questions and messages above the page. */
export function Dialogs(): View {
  return html`
    <${QuestionDialog} />
    <div class="notices" role="status" aria-live="polite">
      ${notices.value.map(
        ({ id, text, failed }) => html`<div key=${id} class=${failed ? "notice failed" : "notice"}>
          <span>${text}</span>
          <button class="icon-button" type="button" aria-label="Dismiss" onClick=${() => dismiss(id)}>
            <${Icon} name="close" />
          </button>
        </div>`,
      )}
    </div>
  `;
}

function QuestionDialog(): View {
  const dialog = useRef<HTMLDialogElement>(null);
  const { value: asked } = question;
  useEffect(() => {
    if (asked !== undefined) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asked]);
  const answer = (confirmed: boolean) => (): void => question.peek()?.answer(confirmed);
  return html`<dialog ref=${dialog} class="dialog" aria-labelledby="question-title" onClose=${answer(false)}>
    ${
      asked !== undefined &&
      html`<h2 id="question-title">${asked.title}</h2>
      <p>${asked.text}</p>
      <div class="dialog-buttons">
        <button class="button" type="button" autofocus onClick=${answer(false)}>Cancel</button>
        <button class="button danger" type="button" onClick=${answer(true)}>${asked.confirm}</button>
      </div>`
    }
  </dialog>`;
}
