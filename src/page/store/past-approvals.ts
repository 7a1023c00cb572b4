import type { ApprovalOutcome, PastApproval } from "../../wire/approval.ts";
import type { SessionInfo } from "../../wire/session.ts";
import type { Name } from "./name.ts";

/** A settled approval of a session. */
export interface SettledApproval extends PastApproval {
  readonly session: Name;
  readonly outcome: ApprovalOutcome;
  readonly settledAt: number;
}

/** The most that the page lists. */
const MOST = 50;

/** Returns the history with what is known of a session, the newest first, each once. */
export function withHistory(
  history: readonly SettledApproval[],
  session: Name,
  past: readonly PastApproval[],
): readonly SettledApproval[] {
  const known = new Map(history.map((one) => [one.id, one]));
  for (const one of past) {
    const { outcome, settledAt = one.requestedAt } = one;
    if (outcome !== undefined) known.set(one.id, { ...one, session, outcome, settledAt });
  }
  return [...known.values()].sort((one, other) => other.settledAt - one.settledAt).slice(0, MOST);
}

/** Returns the sessions whose history a page reads when it opens: those that were active last. */
export function lastActive(sessions: readonly SessionInfo[], count: number): readonly Name[] {
  const at = ({ status }: SessionInfo): number => status?.lastSignOfLife ?? status?.startedAt ?? 0;
  return sessions
    .filter(({ status }) => status !== undefined && status.starts > 0)
    .toSorted((one, other) => at(other) - at(one))
    .slice(0, count)
    .map(({ name }) => name);
}
