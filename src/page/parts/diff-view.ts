import { useMemo, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { type DiffRow, lineDiff } from "../store/diff-lines.ts";
import { countText, plural } from "../store/format.ts";
import { exactLines } from "../store/shown-name.ts";

/** The rows that are shown at first, and that each click adds. */
const PAGE = 400;

interface DiffViewProps {
  readonly before: string;
  readonly after: string;
  /** What changes, for screen readers: a path. */
  readonly label: string;
}

/** The difference of two texts, line by line. */
export function DiffView({ before, after, label }: DiffViewProps): View {
  const { rows, added, removed } = useMemo(() => lineDiff(before, after), [before, after]);
  // Where one text is empty or both end alike, the last line break tells nothing.
  const tellsEnd = before !== "" && after !== "" && before.endsWith("\n") !== after.endsWith("\n");
  const [most, setMost] = useState(PAGE);
  const left = rows.length - most;
  const summary = `${label}: ${plural(added, "line")} added, ${plural(removed, "line")} removed`;
  return html`<div class="diff" role="group" tabindex="0" aria-label=${summary}>
    ${rows.slice(0, most).map((row, index) => diffRow(row, index, tellsEnd))}
    ${rows.length === 0 && html`<span class="diff-row is-gap">Both texts are empty</span>`}
    ${
      left > 0 &&
      html`<button class="button small" type="button" onClick=${() => setMost(most + 5 * PAGE)}>
        Show more of ${countText(left)} further lines
      </button>`
    }
  </div>`;
}

function diffRow(row: DiffRow, index: number, tellsEnd: boolean): View {
  if (row.kind === "gap") {
    return html`<span key=${index} class="diff-row is-gap">${plural(row.count, "unchanged line")}</span>`;
  }
  const end = tellsEnd && row.open && html`<i> no line break at the end</i>`;
  const text = html`${exactLines(row.text)}${end}`;
  if (row.kind === "added") return html`<ins key=${index} class="diff-row" data-sign="+">${text}</ins>`;
  if (row.kind === "removed") return html`<del key=${index} class="diff-row" data-sign="−">${text}</del>`;
  return html`<span key=${index} class="diff-row" data-sign=" ">${text}</span>`;
}
