/** The median and the interquartile range of several figures. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(figures: readonly number[]): Spread {
  const sorted = figures.toSorted((one, other) => one - other);
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) };
}

/** Returns the figure below which this part of the figures lies. */
export function quantileOf(figures: readonly number[], part: number): number {
  return quantile(
    figures.toSorted((one, other) => one - other),
    part,
  );
}

function quantile(sorted: readonly number[], part: number): number {
  const place = (sorted.length - 1) * part;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const [below, above] = [at(Math.floor(place)), at(Math.ceil(place))];
  return below + (above - below) * (place - Math.floor(place));
}

/** Formats the median, with the interquartile range in parentheses. */
export function figureOf(figures: readonly number[], digits = 0): string {
  const { median, low, high } = spreadOf(figures);
  const [middle, from, to] = [median, low, high].map((figure) => figure.toFixed(digits));
  return `${middle} (${from}..${to})`;
}
