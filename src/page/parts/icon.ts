import { html, type View } from "../html.ts";

/** The lines of each icon, on 24 by 24. */
const PATHS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 13l5 5L19 7",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  moon: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
  contrast: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 8l6.5-1M12 12h9M12 16l6.5 1",
  exit: "M14 4H6v16h8M10 12h11M17 8l4 4-4 4",
  sessions: "M4 6h16M4 12h16M4 18h10",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
  coin: "M12 3v18M16.5 7.5C15.5 6 14 5.5 12 5.5c-2.500 0-4.500 1-4.500 3.200 0 4.300 9.500 2.300 9.500 6.800 0 2-2 3-5 3-2.300 0-4-.8-5-2.500",
  chip: "M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4",
  refresh: "M20 11a8 8 0 0 0-14-4.500L4 8M4 4v4h4M4 13a8 8 0 0 0 14 4.500L20 16M20 20v-4h-4",
  warning: "M12 4L2.500 20h19zM12 10v4M12 17h.01",
  cloud: "M3 3l18 18M7 18h10M17 18a4 4 0 0 0 2-7.500A6 6 0 0 0 9 7M7 18a4.500 4.500 0 0 1-.5-9",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  template: "M8 4h12v12H8zM16 20H4V8",
  pool: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  back: "M15 5l-7 7 7 7",
  pause: "M9 5v14M15 5v14",
  play: "M8 5l11 7-11 7z",
  send: "M4 12l16-8-6 16-3-7z",
  tree: "M9 3h6v5H9zM3 16h6v5H3zM15 16h6v5h-6zM12 8v4M6 16v-4h12v4",
  shield: "M12 3l8 3v6c0 4.500-3 7.500-8 9-5-1.500-8-4.500-8-9V6zM8.500 12l2.500 2.500 4.500-5",
  database: "M4 6c0-4 16-4 16 0v12c0 4-16 4-16 0zM4 6c0 4 16 4 16 0M4 12c0 4 16 4 16 0",
  nodes: "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01",
  panel: "M4 5h16v14H4zM14 5v14",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  stop: "M7 7h10v10H7z",
  key: "M15 4a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11.500 12.500L4 20v1h4v-2h2v-2l2.500-2.500",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** An icon, which screen readers leave out. */
export function Icon({ name }: { readonly name: IconName }): View {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
