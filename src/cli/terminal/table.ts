import Table from "cli-table3";
import { cut, oneLine, widthOf } from "./text.ts";

/** A column of a table. */
export interface Column {
  readonly head: string;
  readonly align?: "left" | "right";
  /** The columns below which the cells are not cut, if the terminal is narrow. Default: never cut. */
  readonly least?: number;
}

const GAP = 2;

/**
 * Formats a table without borders. On a terminal that is too narrow, cuts the widest columns that may be cut.
 *
 * @param rows cells of untrusted text
 * @param width the columns of the terminal; undefined if it is none, for programs that read the table
 * @param style styles a cell after its width is known
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
  style: (cell: string, column: number) => string = (cell) => cell,
): string {
  const cells = rows.map((row) => row.map(oneLine));
  const natural = columns.map(({ head }, at) => Math.max(widthOf(head), ...cells.map((row) => widthOf(row[at] ?? ""))));
  const widths = fitted(columns, natural, width);
  const drawn = new Table({
    head: columns.map(({ head }, at) => cut(head, widths[at] ?? 0)),
    colAligns: columns.map(({ align = "left" }) => align),
    style: { head: [], border: [], "padding-left": 0, "padding-right": GAP },
    chars: NO_BORDERS,
  });
  for (const row of cells) drawn.push(row.map((cell, at) => style(cut(cell, widths[at] ?? 0), at)));
  return drawn
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Shrinks the widest columns that may shrink, one column at a time. */
function fitted(columns: readonly Column[], natural: readonly number[], width: number | undefined): number[] {
  const widths = [...natural];
  if (width === undefined) return widths;
  for (;;) {
    const total = widths.reduce((sum, own) => sum + own + GAP, -GAP);
    if (total <= width) return widths;
    const shrinkable = widths.flatMap((own, at) => {
      const least = columns[at]?.least;
      return least !== undefined && own > least ? [{ own, at }] : [];
    });
    const [widest] = shrinkable.toSorted((one, other) => other.own - one.own);
    if (widest === undefined) return widths;
    widths[widest.at] = widest.own - 1;
  }
}

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
