import type { SessionInfo } from "../../application/finding.ts";
import type { GlobalSessionStatus } from "../../cluster/global-session.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionStatus } from "../../session/status/session-status.ts";
import type { SessionInfo as ShownInfo } from "../../wire/session.ts";
import type { SessionStatus as ShownStatus } from "../../wire/session-status.ts";
import type { ShowName } from "./shown-name.ts";

/** Returns a session's status as the API shows it. */
export function shownStatus(status: SessionStatus, show: ShowName): ShownStatus {
  return { ...status, name: show(status.name) };
}

/** Returns a session as the API shows it. */
export function shownSession(info: SessionInfo, show: ShowName): ShownInfo {
  const { name, status, ...rest } = info;
  return { ...rest, name: show(name), ...(status !== undefined && { status: shownStatus(status, show) }) };
}

/** Returns a global session as the API shows it. */
export function shownGlobalSession({ node, ...status }: GlobalSessionStatus, show: ShowName): ShownInfo {
  const { name, title, labels, createdAt, archivedAt } = status;
  const state: ShownInfo["state"] = archivedAt === undefined ? status.state : "archived";
  const shown = { name: show(name), state, title, labels, createdAt, archivedAt, node };
  return withoutUndefined({ ...shown, status: shownStatus(status, show) });
}
