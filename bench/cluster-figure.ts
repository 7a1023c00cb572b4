import { spreadOf } from "./spread.ts";

/** The median, and in parentheses between what the middle half lies. */
export function figureOf(figures: readonly number[], digits = 0): string {
  const { median, low, high } = spreadOf(figures);
  const [middle, from, to] = [median, low, high].map((figure) => figure.toFixed(digits));
  return `${middle} (${from}..${to})`;
}
