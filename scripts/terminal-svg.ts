/** A line that appeared on a terminal. */
export interface RecordedLine {
  readonly text: string;
  /** Whether somebody typed it: a prompt and a command. */
  readonly isTyped: boolean;
  /** How long after the line before it appeared. */
  readonly afterMs: number;
}

const COLUMNS = 80;
const CELL = { width: 8.4, height: 20 };
const MARGIN = 20;
const BAR = 30;

/** The longest wait for output that is shown. */
const LONGEST_WAIT_MS = 1_500;
/** How long a reader needs before the next command is typed. */
const PAUSE_MS = 900;
/** How long each character of a command takes. */
const KEY_MS = 25;

/** Draws lines of a terminal as an SVG in which they appear one after the other. Without animations, all of them are visible. */
export function terminalSvg(lines: readonly RecordedLine[], title: string): string {
  const width = Math.round(COLUMNS * CELL.width + 2 * MARGIN);
  const height = BAR + lines.length * CELL.height + 2 * MARGIN;
  let at = 0;
  const rows = lines.map(({ text, isTyped, afterMs }, row) => {
    at += Math.min(afterMs, LONGEST_WAIT_MS) + (isTyped && row > 0 ? PAUSE_MS : 0);
    const y = BAR + MARGIN + row * CELL.height + 14;
    const line = `<text x="${MARGIN}" y="${y}" style="animation-delay:${seconds(at)}s">${isTyped ? typed(text) : escaped(text)}</text>`;
    if (isTyped) at += text.length * KEY_MS;
    return line;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c9d1d9; white-space: pre; animation: appear 0.15s backwards; }
.typed { fill: #ffffff; font-weight: 600; }
.prompt { fill: #7d8590; }
@keyframes appear { from { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { text { animation: none; } }
</style>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
<circle cx="20" cy="18" r="5" fill="#484f58"/><circle cx="38" cy="18" r="5" fill="#484f58"/><circle cx="56" cy="18" r="5" fill="#484f58"/>
${rows.join("\n")}
</svg>
`;
}

function typed(text: string): string {
  const [, prompt = "", command = ""] = /^(\$ ?)(.*)$/.exec(text) ?? ["", "", text];
  return `<tspan class="prompt">${escaped(prompt)}</tspan><tspan class="typed">${escaped(command)}</tspan>`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(2);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
