/** The scale of an axis from 0. */
export interface PlotScale {
  /** The end of the axis. */
  readonly end: number;
  /** The values with a line, from 0 to the end. */
  readonly ticks: readonly number[];
}

/** Returns a scale with three to five steps of 1, 2 or 5 times a power of ten. */
export function plotScale(most: number): PlotScale {
  if (!(most > 0)) return { end: 1, ticks: [0] };
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10);
  const steps = Math.max(1, Math.ceil(most / step - 1e-9));
  const ticks = Array.from({ length: steps + 1 }, (_, index) => Number((index * step).toPrecision(12)));
  return { end: Number((steps * step).toPrecision(12)), ticks };
}

/** Returns which of so many bars have a label, so that at most `most` do; the last one always has. */
export function labelled(count: number, most: number): (index: number) => boolean {
  const every = Math.max(1, Math.ceil(count / Math.max(1, most)));
  return (index) => (count - 1 - index) % every === 0;
}
