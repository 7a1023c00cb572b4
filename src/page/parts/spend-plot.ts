import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { Series } from "../store/costs.ts";
import { dollarsText } from "../store/format.ts";
import { dayText, longDayText } from "../store/period.ts";
import { labelled, plotScale } from "../store/plot-scale.ts";

interface SpendPlotProps {
  readonly days: readonly string[];
  readonly series: readonly Series[];
}

/** In pixels. */
const HEIGHT = 240;
const TOP = 12;
const BOTTOM = 26;
const LEFT = 56;

/** Bars by day. The pointer and the arrow keys show the values of one. */
export function SpendPlot({ days, series }: SpendPlotProps): View {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [active, setActive] = useState<number | undefined>(undefined);
  const [reached, setReached] = useState<number | undefined>(undefined);
  useLayoutEffect(() => {
    const { current } = frame;
    if (current === null) return undefined;
    const measure = (): void => setWidth(current.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  const sums = days.map((_, day) => series.reduce((sum, { values }) => sum + (values[day] ?? 0), 0));
  const { end, ticks } = plotScale(Math.max(0, ...sums));
  const step = (width - LEFT) / Math.max(1, days.length);
  const bar = Math.max(1, Math.min(36, step > 6 ? step * 0.72 : step - 1));
  const y = (usd: number): number => HEIGHT - BOTTOM - (usd / end) * (HEIGHT - TOP - BOTTOM);
  const isLabelled = labelled(days.length, (width - LEFT) / 64);
  // One bar is in the order of the tab key: the last one, or where the arrow keys have gone.
  const stop = Math.min(reached ?? days.length - 1, days.length - 1);
  const move = (event: KeyboardEvent): void => {
    const to = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: days.length - 1 }[event.key];
    if (event.key === "Escape") setActive(undefined);
    if (to === undefined || to < 0 || to >= days.length) return;
    event.preventDefault();
    setReached(to);
    frame.current?.querySelector<SVGGElement>(`[data-day="${days[to]}"]`)?.focus();
  };
  return html`<div class="plot" ref=${frame} style=${{ height: `${HEIGHT}px` }} onMouseLeave=${() => setActive(undefined)}>
    ${
      width > 0 &&
      html`<svg class=${step < 10 ? "thin" : undefined} width=${width} height=${HEIGHT} role="group" aria-label="Costs by day. The arrow keys go from day to day." onKeyDown=${move}>
        <g aria-hidden="true">
          ${ticks.map(
            (tick) => html`<g key=${tick}>
              <line class="grid-line" x1=${LEFT} x2=${width} y1=${y(tick)} y2=${y(tick)} />
              <text class="axis" x=${LEFT - 10} y=${y(tick) + 4} text-anchor="end">${tickText(tick)}</text>
            </g>`,
          )}
        </g>
        ${days.map((day, index) => {
          const x = LEFT + index * step;
          return html`<g
            key=${day}
            class=${index === active ? "plot-day active" : "plot-day"}
            role="img"
            tabindex=${index === stop ? 0 : -1}
            data-day=${day}
            aria-label=${dayLabel(day, index, series, sums[index] ?? 0)}
            onMouseEnter=${() => setActive(index)}
            onFocus=${() => setActive(index)}
            onBlur=${() => setActive(undefined)}
          >
            <rect class="plot-hit" x=${x} y=${TOP} width=${step} height=${HEIGHT - TOP - BOTTOM} />
            <${Bar} series=${series} index=${index} x=${x + (step - bar) / 2} width=${bar} y=${y} />
            ${isLabelled(index) && html`<text class="axis" x=${Math.min(x + step / 2, width - 22)} y=${HEIGHT - 6} text-anchor="middle">${dayText(day)}</text>`}
          </g>`;
        })}
      </svg>`
    }
    ${
      active !== undefined &&
      days[active] !== undefined &&
      html`<${Tooltip} day=${days[active]} index=${active} series=${series} sum=${sums[active] ?? 0} at=${LEFT + (active + 0.5) * step} width=${width} />`
    }
  </div>`;
}

interface BarProps {
  readonly series: readonly Series[];
  readonly index: number;
  readonly x: number;
  readonly width: number;
  readonly y: (usd: number) => number;
}

function Bar({ series, index, x, width, y }: BarProps): View {
  let below = 0;
  const parts = series.map(({ key, values }, at) => {
    const from = below;
    below += values[index] ?? 0;
    const height = y(from) - y(below);
    return height <= 0
      ? null
      : html`<rect key=${key} class=${colourOf(key, at)} x=${x} y=${y(below)} width=${width} height=${height} />`;
  });
  return html`<g aria-hidden="true">${parts}</g>`;
}

interface TooltipProps {
  readonly day: string;
  readonly index: number;
  readonly series: readonly Series[];
  readonly sum: number;
  readonly at: number;
  readonly width: number;
}

function Tooltip({ day, index, series, sum, at, width }: TooltipProps): View {
  const spent = series.flatMap(({ key, label, values }, position) => {
    const usd = values[index] ?? 0;
    return usd === 0 ? [] : [{ key, label, usd, colour: colourOf(key, position) }];
  });
  const side = at > width / 2 ? { right: `${width - at + 12}px` } : { left: `${at + 12}px` };
  return html`<div class="plot-tip" style=${side} aria-hidden="true">
    <p><b>${longDayText(day)}</b><span>${dollarsText(sum)}</span></p>
    ${
      series.length > 1 &&
      spent.map(
        ({ key, label, usd, colour }) =>
          html`<p key=${key}><i class=${colour}></i><span>${label}</span><span>${dollarsText(usd)}</span></p>`,
      )
    }
  </div>`;
}

/** The names of the colours. */
export function Legend({ series }: { readonly series: readonly Series[] }): View {
  return html`<ul class="legend">
    ${series.map(
      ({ key, label, total }, at) =>
        html`<li key=${key}><i class=${colourOf(key, at)}></i><span>${label}</span> <b>${dollarsText(total)}</b></li>`,
    )}
  </ul>`;
}

/** The plot as a table, for screen readers. */
export function PlotTable({ days, series }: SpendPlotProps): View {
  return html`<div class="unseen"><table>
    <caption>Costs by day, in US dollars, as the plot shows them</caption>
    <thead><tr><th scope="col">Day, UTC</th>${series.map(({ key, label }) => html`<th key=${key} scope="col">${label}</th>`)}</tr></thead>
    <tbody>
      ${days.map(
        (day, index) => html`<tr key=${day}>
          <th scope="row">${day}</th>
          ${series.map(({ key, values }) => html`<td key=${key}>${dollarsText(values[index] ?? 0)}</td>`)}
        </tr>`,
      )}
    </tbody>
  </table></div>`;
}

function tickText(usd: number): string {
  return Number.isInteger(usd) ? dollarsText(usd).replace(".00", "") : dollarsText(usd);
}

function colourOf(key: string, at: number): string {
  return key === "" ? "series others" : `series series-${at}`;
}

function dayLabel(day: string, index: number, series: readonly Series[], sum: number): string {
  const parts = series.flatMap(({ label, values }) => {
    const usd = values[index] ?? 0;
    return usd === 0 || series.length === 1 ? [] : [`${label} ${dollarsText(usd)}`];
  });
  return [`${longDayText(day)}: ${dollarsText(sum)}`, ...parts].join(", ");
}
