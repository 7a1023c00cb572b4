import { useEffect, useRef } from "preact/hooks";
import { html, type View } from "../html.ts";
import { fieldText } from "../store/field-text.ts";
import { Icon } from "./icon.ts";

interface SearchBoxProps {
  readonly text: string;
  readonly placeholder: string;
  /** What is searched, for screen readers. */
  readonly label: string;
  /** Whether the key `/` leads to it. */
  readonly main?: boolean;
  readonly change: (text: string) => void;
}

/** A field for words that something is searched for. */
export function SearchBox({ text, placeholder, label, main = false, change }: SearchBoxProps): View {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!main) return;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "/" || isTyping(event)) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return html`<div class="search">
    <${Icon} name="search" />
    <input
      ref=${field}
      type="search"
      value=${text}
      placeholder=${placeholder}
      aria-label=${label}
      aria-keyshortcuts=${main ? "/" : undefined}
      spellcheck="false"
      autocomplete="off"
      onInput=${(event: Event) => change(fieldText(event))}
    />
    ${main && html`<kbd aria-hidden="true">/</kbd>`}
  </div>`;
}

/** Whether a key belongs to a field or a dialog. */
export function isTyping({ target }: KeyboardEvent): boolean {
  return target instanceof Element && target.matches("input, textarea, select, dialog *");
}
