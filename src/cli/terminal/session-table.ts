import type { GlobalSessionInfo, SessionInfo } from "../../client/index.ts";
import { styledState } from "./colors.ts";
import { nameArgument } from "./name-argument.ts";
import { type Column, table } from "./table.ts";
import { shortBytes, shortDuration } from "./text.ts";

const COLUMNS: readonly Column[] = [
  { head: "SESSION", least: 12 },
  { head: "STATE" },
  { head: "FOR", align: "right" },
  { head: "QUEUE", align: "right" },
  { head: "PID", align: "right" },
  { head: "MEMORY", align: "right" },
  { head: "RESTARTS", align: "right" },
  { head: "TITLE", least: 8 },
];

/** Formats sessions as a table. @param now milliseconds since the epoch */
export function sessionTable(sessions: readonly SessionInfo[], now: number, width: number | undefined): string {
  const rows = sessions.map(({ name, state, title = "", status }) => [
    nameArgument(name),
    state === "waiting" && status?.waitingFor !== undefined ? `waiting (${status.waitingFor.for})` : state,
    status?.turn === undefined ? "" : shortDuration(now - status.turn.since),
    status === undefined ? "" : String(status.mailbox),
    String(status?.pid ?? ""),
    status?.memoryBytes === undefined ? "" : shortBytes(status.memoryBytes),
    status === undefined ? "" : String(status.restarts),
    title,
  ]);
  return table(COLUMNS, rows, width, (cell, at) => (at === 1 ? styledState(cell) : cell));
}

const GLOBAL_COLUMNS: readonly Column[] = [
  { head: "SESSION", least: 12 },
  { head: "STATE" },
  { head: "NODE", least: 8 },
  { head: "EPOCH", align: "right" },
  { head: "TITLE", least: 8 },
];

/** Formats global sessions as a table. */
export function globalSessionTable(sessions: readonly GlobalSessionInfo[], width: number | undefined): string {
  const rows = sessions.map(({ name, state, node = "-", epoch = "-", title = "" }) => {
    return [nameArgument(name), state, node, String(epoch), title];
  });
  return table(GLOBAL_COLUMNS, rows, width, (cell, at) => (at === 1 ? styledState(cell) : cell));
}
