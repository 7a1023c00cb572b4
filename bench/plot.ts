/** A line of a plot. */
export interface Curve {
  readonly name: string;
  readonly dashed: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** The words of a plot, with the units. */
export interface Axes {
  readonly title: string;
  readonly x: string;
  readonly y: string;
}

const [WIDTH, HEIGHT] = [760, 420];
const AREA = { left: 70, right: 560, top: 50, bottom: 360 };

/** Legible on the light and on the dark background. Curves of the same shade differ by their dashes. */
const SHADES = ["#2f7ed8", "#c8671b", "#2a9d5c"];

/** Both colours change together, whatever the page around the picture looks like. */
const STYLE = `
  svg { --paper: #ffffff; --ink: #24292f; --grid: #d8dee4; }
  @media (prefers-color-scheme: dark) { svg { --paper: #1b1f24; --ink: #e6edf3; --grid: #3d444d; } }
  text { font: 13px sans-serif; fill: var(--ink); }
  .title { font-size: 16px; }
  .paper { fill: var(--paper); }
  .grid { stroke: var(--grid); }`;

/** Draws curves over a logarithmic axis from the first x to the last, and a linear one from zero. Returns an SVG. */
export function plotOf({ title, x, y }: Axes, curves: readonly Curve[]): string {
  const xs = [...new Set(curves.flatMap(({ points }) => points.map(([at]) => at)))].toSorted((a, b) => a - b);
  const highest = Math.max(...curves.flatMap(({ points }) => points.map(([, value]) => value)));
  const step = stepOf(highest);
  const ticks = Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
  const top = ticks.at(-1) ?? 1;
  const [first = 1, last = 1] = [xs[0], xs.at(-1)];
  const placeX = (at: number): number =>
    AREA.left + ((AREA.right - AREA.left) * Math.log(at / first)) / Math.log(last / first);
  const placeY = (value: number): number => AREA.bottom - ((AREA.bottom - AREA.top) * value) / top;
  const parts = [
    text(AREA.left, 28, title, 'class="title"'),
    ...ticks.flatMap((tick) => [
      `<line class="grid" x1="${AREA.left}" x2="${AREA.right}" y1="${placeY(tick)}" y2="${placeY(tick)}"/>`,
      text(AREA.left - 8, placeY(tick) + 4, tick.toLocaleString("en"), 'text-anchor="end"'),
    ]),
    ...xs.map((at) => text(placeX(at), AREA.bottom + 20, `×${at}`, 'text-anchor="middle"')),
    text((AREA.left + AREA.right) / 2, AREA.bottom + 46, x, 'text-anchor="middle"'),
    text(0, 0, y, `text-anchor="middle" transform="translate(18 ${(AREA.top + AREA.bottom) / 2}) rotate(-90)"`),
    ...curves.flatMap(({ name, dashed, points }, index) => {
      const line = `stroke="${SHADES[Math.floor(index / 2) % SHADES.length]}" stroke-width="2" ${dashed ? 'stroke-dasharray="6 4"' : ""}`;
      const path = points.map(([at, value]) => `${placeX(at).toFixed(1)},${placeY(value).toFixed(1)}`).join(" ");
      const key = AREA.top + 10 + index * 24;
      return [
        `<polyline fill="none" ${line} points="${path}"/>`,
        `<line ${line} x1="${AREA.right + 16}" x2="${AREA.right + 46}" y1="${key}" y2="${key}"/>`,
        text(AREA.right + 54, key + 4, name),
      ];
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
${parts.join("\n")}
</svg>
`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${content}</text>`;
}

/** Returns a round distance of at most six ticks. */
function stepOf(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest));
  return [0.2, 0.5, 1, 2].map((part) => part * power).find((step) => highest / step <= 5) ?? power;
}
