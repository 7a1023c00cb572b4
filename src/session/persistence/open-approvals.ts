import { withoutUndefined } from "../../fields.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { Change } from "../../journal/model/change.ts";
import type { EventEntry, EventQuery } from "../../journal/model/event-entry.ts";
import { isDamage } from "../../journal/model/journal-errors.ts";
import type { Approval } from "../conversation/approval.ts";
import { readEvent } from "../record/event-schemas.ts";
import type { EventDraft } from "../record/session-event-types.ts";
import { approvalSettled, withdrawnBy } from "./approval-events.ts";

/** How many of the latest approvals to search for unanswered ones. */
const MOST_OPEN = 100;

interface ApprovalReads {
  approvals(limit: number): Promise<ApprovalEntry[]>;
  events(query: Omit<EventQuery, "session">): Promise<EventEntry[]>;
}

/**
 * Returns what withdraws the approvals of a process that is gone and could not do it itself.
 *
 * @param at the time in milliseconds since the epoch
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function withdrawals(
  journal: ApprovalReads,
  at: number,
): Promise<{ readonly changes: readonly Change[]; readonly drafts: readonly EventDraft[] }> {
  const open = (await journal.approvals(MOST_OPEN)).filter(({ outcome }) => outcome === undefined);
  if (open.length === 0) return { changes: [], drafts: [] };
  const requested = await requests(journal, new Set(open.map(({ id }) => id)));
  const settlement = { outcome: "withdrawn", ...withdrawnBy("application_ended") } as const;
  const { outcome } = settlement;
  const inOrder = open.toReversed();
  return {
    changes: inOrder.map(({ id }) => ({ type: "approval_settled", approval: id, outcome, at })),
    drafts: inOrder.map(({ id, tool }) => {
      const { turnId, toolUseId } = requested.get(id) ?? {};
      return approvalSettled({ id, tool, ...withoutUndefined({ turnId, toolUseId }) }, settlement);
    }),
  };
}

/** Returns the latest requests with these ids, as far as the record has them. */
async function requests(
  journal: ApprovalReads,
  ids: ReadonlySet<string>,
): Promise<Map<string, Pick<Approval, "turnId" | "toolUseId">>> {
  const found = new Map<string, Pick<Approval, "turnId" | "toolUseId">>();
  let before = Number.POSITIVE_INFINITY;
  for (let seen = 0; seen < MOST_OPEN && found.size < ids.size; ) {
    const types = ["approval_requested"];
    const page = await journal.events({ before, types, limit: MOST_OPEN }).catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      return [];
    });
    for (const event of page.map(readEvent)) {
      before = event.number;
      if (event.type === "approval_requested" && ids.has(event.id)) found.set(event.id, event);
    }
    if (page.length === 0) break;
    seen += page.length;
  }
  return found;
}
