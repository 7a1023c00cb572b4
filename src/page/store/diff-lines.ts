import { diffLines } from "diff/lib/diff/line.js";

/** A row of a diff: a line, or unchanged lines that are left out. */
export type DiffRow =
  | {
      readonly kind: "same" | "added" | "removed";
      readonly text: string;
      /** Whether it is the last line of a text that does not end with a line break. */
      readonly open: boolean;
    }
  | { readonly kind: "gap"; readonly count: number };

/** The difference of two texts, by line. */
export interface LineDiff {
  readonly rows: readonly DiffRow[];
  readonly added: number;
  readonly removed: number;
}

/** The unchanged lines that are shown around a change. */
const CONTEXT = 3;

/** The work grows with the square of the changed lines. Texts with more of them are shown as replaced. */
const MOST_CHANGES = 1_000;

/** Returns the difference of two texts. Unchanged lines far from a change are left out. */
export function lineDiff(before: string, after: string): LineDiff {
  const parts = diffLines(before, after, { maxEditLength: MOST_CHANGES }) ?? [
    { value: before, added: false, removed: true },
    { value: after, added: true, removed: false },
  ];
  const rows: DiffRow[] = [];
  const counts = { added: 0, removed: 0 };
  for (const [index, { value, added, removed }] of parts.entries()) {
    const lines = linesOf(value);
    const kind = added ? "added" : removed ? "removed" : "same";
    if (kind === "same") {
      rows.push(...withGap(rowsOf(lines, kind), index === 0 ? 0 : CONTEXT, index === parts.length - 1 ? 0 : CONTEXT));
      continue;
    }
    counts[kind] += lines.length;
    for (const row of rowsOf(lines, kind)) rows.push(row);
  }
  return { rows, ...counts };
}

/** Splits a text behind its line breaks. */
function linesOf(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

function rowsOf(lines: readonly string[], kind: "same" | "added" | "removed"): DiffRow[] {
  return lines.map((line) => {
    const open = !line.endsWith("\n");
    return { kind, text: open ? line : line.slice(0, -1), open };
  });
}

/** Leaves out the middle of unchanged rows. A gap of one row would take the place of that row. */
function withGap(rows: readonly DiffRow[], head: number, tail: number): readonly DiffRow[] {
  const count = rows.length - head - tail;
  if (count <= 1) return rows;
  return [...rows.slice(0, head), { kind: "gap", count }, ...rows.slice(rows.length - tail)];
}
