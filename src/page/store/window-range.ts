/** The rows of a long list that are rendered. */
export interface WindowRange {
  readonly first: number;
  /** One behind the last. */
  readonly end: number;
}

/** Rows above and below the visible ones, so that a fast scroll meets no gap. */
const AROUND = 12;

/**
 * Returns the rows to render.
 *
 * @param top how far the list is scrolled beyond its first row, in pixels; may be negative
 * @param height of the visible part, in pixels
 */
export function windowRange(count: number, rowHeight: number, top: number, height: number): WindowRange {
  const first = Math.floor(top / rowHeight) - AROUND;
  const end = Math.ceil((top + height) / rowHeight) + AROUND;
  const bounded = (row: number): number => Math.min(Math.max(row, 0), count);
  return { first: bounded(first), end: bounded(end) };
}
