import { useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { shortText } from "../store/format.ts";
import { exactLines, plainLines } from "../store/shown-name.ts";
import { CopyButton } from "./copy-button.ts";

/** The characters that are shown at first, and that each click adds five times. */
const PAGE = 20_000;

interface LongTextProps {
  readonly text: string;
  /** What it is, for screen readers. */
  readonly label: string;
  /** `output`: colours of terminals are left out. Of every other text whatever nobody would see is made visible. */
  readonly kind?: "code" | "command" | "words" | "output";
}

/** A text as it is. The rest of a very long one comes on request. */
export function LongText({ text, label, kind = "code" }: LongTextProps): View {
  const [most, setMost] = useState(PAGE);
  const left = text.length - most;
  const lines = kind === "output" ? plainLines : exactLines;
  return html`<div class="output">
    <${CopyButton} text=${text} />
    <pre class=${`long-text is-${kind}`} role="group" tabindex="0" aria-label=${label}>${text === "" ? html`<i>empty</i>` : lines(text.slice(0, most))}</pre>
    ${
      left > 0 &&
      html`<button class="button small" type="button" onClick=${() => setMost(most + 5 * PAGE)}>
        Show more of ${shortText(left)} further characters
      </button>`
    }
  </div>`;
}
