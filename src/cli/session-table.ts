import Table from "cli-table3";
import { formatName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";

/** The sessions of a supervisor as a table for a terminal. */
export function sessionTable(sessions: readonly SessionStatus[]): string {
  const table = new Table({
    head: ["session", "state", "pid", "restarts", "last exit", "conversation"],
    style: { head: [], border: [] },
  });
  for (const { name, state, pid, restarts, lastExit, conversationId } of sessions) {
    table.push([formatName(name), state, pid ?? "-", restarts, lastExit?.class ?? "-", conversationId.slice(0, 8)]);
  }
  return table.toString();
}
