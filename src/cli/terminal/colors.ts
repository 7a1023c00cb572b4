import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Styles text for a stream: only if that is a terminal, and `NO_COLOR` is not set. */
export function styled(format: Format, text: string, stream: NodeJS.WritableStream = process.stdout): string {
  return styleText(format, text, { stream });
}

/** The colors of states: of sessions, health, nodes, webhooks and turns. */
const STATES: Readonly<Record<string, Format>> = {
  idle: "green",
  healthy: "green",
  alive: "green",
  ready: "green",
  completed: "green",
  running: "green",
  busy: "cyan",
  starting: "cyan",
  waiting: "yellow",
  restarting: "yellow",
  degraded: "yellow",
  draining: "yellow",
  failing: "yellow",
  interrupted: "yellow",
  cancelled: "yellow",
  queued: "yellow",
  hibernated: "dim",
  stored: "dim",
  archived: "dim",
  stopped: "dim",
  quarantined: "red",
  unhealthy: "red",
  dead: "red",
  disabled: "red",
  failed: "red",
  timed_out: "red",
};

/** Styles a cell by the state that it names. */
export function styledState(cell: string, stream?: NodeJS.WritableStream): string {
  const format = Object.hasOwn(STATES, cell) ? STATES[cell] : undefined;
  return format === undefined ? cell : styled(format, cell, stream);
}
