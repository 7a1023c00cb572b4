import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { shortText } from "../store/format.ts";
import { exactLines } from "../store/shown-name.ts";

/** The characters that are shown at first, and that each click adds. */
const PAGE = 20_000;

interface LongTextProps {
  readonly text: string;
  /** What it is, for screen readers. */
  readonly label: string;
  readonly kind?: "code" | "words";
}

/** A text as it is, with whatever nobody would see made visible. The rest of a very long one comes on request. */
export function LongText({ text, label, kind = "code" }: LongTextProps): View {
  const [most, setMost] = useState(PAGE);
  const left = text.length - most;
  return html`<div class=${`long-text is-${kind}`} role="group" tabindex="0" aria-label=${label}>
    ${text === "" ? html`<i>empty</i>` : exactLines(text.slice(0, most))}
    ${
      left > 0 &&
      html`<button class="button small" type="button" onClick=${() => setMost(most + 5 * PAGE)}>
        Show more of ${shortText(left)} further characters
      </button>`
    }
  </div>`;
}
