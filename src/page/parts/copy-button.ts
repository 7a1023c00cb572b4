import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";

const SHOWN_MS = 1_500;

/** Copies a text. Nothing where the browser forbids it, as over HTTP to another machine. */
export function CopyButton({ text }: { readonly text: string }): View {
  const [done, setDone] = useState(false);
  if (!("clipboard" in navigator)) return null;
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), SHOWN_MS);
    } catch {
      // The reader has not allowed it.
    }
  };
  return html`<button class="copy" type="button" onClick=${copy}>${done ? "Copied" : "Copy"}</button>`;
}
