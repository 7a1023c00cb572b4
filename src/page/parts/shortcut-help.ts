import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { KEYS } from "../store/shortcuts.ts";

interface ShortcutHelpProps {
  readonly open: Signal<boolean>;
  /** Whether single keys act. */
  readonly on: boolean;
  readonly change: (on: boolean) => void;
}

/** The keys of the page. */
export function ShortcutHelp({ open, on, change }: ShortcutHelpProps): View {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open.value]);
  const close = (): void => {
    open.value = false;
  };
  return html`<dialog ref=${dialog} class="dialog keys" aria-labelledby="keys-title" onClose=${close}>
    ${
      open.value &&
      html`<h2 id="keys-title">Keys of this page</h2>
        <dl>
          ${KEYS.map(([keys, meaning]) => [
            html`<dt key=${`${meaning} keys`}>${keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt>`,
            html`<dd key=${meaning}>${meaning}</dd>`,
          ])}
        </dl>
        <label class="choice keys-switch">
          <input type="checkbox" checked=${on} onChange=${(event: Event) => change((event.currentTarget as HTMLInputElement).checked)} />
          <span>Single keys act. They never do while you type.</span>
        </label>
        <div class="dialog-buttons"><button class="button" type="button" autofocus onClick=${close}>Close</button></div>`
    }
  </dialog>`;
}
