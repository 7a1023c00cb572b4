import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { messageOf } from "../store/shown-name.ts";

interface ModalProps {
  readonly title: string;
  /** Called once the dialog is closed, by a button or the Escape key. */
  readonly close: () => void;
  /** Whether it must stay open, because a request runs whose answer it shows. */
  readonly held?: boolean;
  readonly children?: ComponentChildren;
}

/** A dialog that is open as long as it is rendered. */
export function Modal({ title, close, held = false, children }: ModalProps): View {
  const dialog = useRef<HTMLDialogElement>(null);
  const closed = (): void => {
    // A browser closes a dialog at the second Escape, whatever the page says.
    if (held) dialog.current?.showModal();
    else close();
  };
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return html`<dialog ref=${dialog} class="dialog form" aria-labelledby="modal-title" onCancel=${(event: Event) => held && event.preventDefault()} onClose=${closed}>
    <h2 id="modal-title">${title}</h2>
    ${children}
  </dialog>`;
}

interface ModalFormProps extends ModalProps {
  readonly confirm: string;
  /** What the button says while the request runs. */
  readonly doing: string;
  readonly danger?: boolean;
  /** Why it cannot be confirmed yet; an empty text if nobody needs to be told. */
  readonly blocked?: string | undefined;
  /** What it is for. @throws Error why it failed */
  readonly submit: () => Promise<void>;
}

/** A dialog with fields. A request that fails leaves it open, with the reason. */
export function ModalForm(props: ModalFormProps): View {
  const { title, close, children, confirm, doing, danger = false, blocked, submit } = props;
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const submitted = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (blocked !== undefined || busy) return;
    setBusy(true);
    setFailure("");
    await submit().catch((error: unknown) => setFailure(messageOf(error)));
    setBusy(false);
  };
  return html`<${Modal} title=${title} close=${close} held=${busy}>
    <form onSubmit=${submitted}>
      ${children}
      <p class="form-failure" role="alert">${failure}</p>
      <div class="dialog-buttons">
        <button class="button" type="button" disabled=${busy} onClick=${close}>Cancel</button>
        <button class=${danger ? "button danger" : "button primary"} type="submit" disabled=${busy || blocked !== undefined}>
          ${busy ? doing : confirm}
        </button>
      </div>
    </form>
  <//>`;
}
