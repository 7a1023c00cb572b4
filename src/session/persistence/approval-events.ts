import { withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { Approval, ApprovalSettlement } from "../conversation/approval.ts";
import type { ApprovalWithdrawal, EventDraft } from "../record/session-event-types.ts";
import { jsonOf } from "../streams/turn-end.ts";

type DraftOf<Type extends EventDraft["type"]> = Extract<EventDraft, { readonly type: Type }>;

/** Returns the event of a permission request. */
export function approvalRequested(approval: Approval): DraftOf<"approval_requested"> & { readonly input: JsonObject } {
  const { id, tool, input, title, reason, toolUseId, turnId, suggestions, expiresAt } = approval;
  return {
    type: "approval_requested",
    id,
    tool,
    input: jsonOf(input),
    suggestions: jsonOf({ suggestions })["suggestions"] ?? [],
    expiresAt,
    ...withoutUndefined({ title, reason, toolUseId, turnId }),
  };
}

/** Returns the event of a permission request's end. */
export function approvalSettled(
  { id, tool, toolUseId, turnId }: Pick<Approval, "id" | "tool" | "toolUseId" | "turnId">,
  { outcome, by, message, cause, answers, ...given }: ApprovalSettlement,
): DraftOf<"approval_settled"> {
  const { input, rules } = jsonOf(given);
  return {
    type: "approval_settled",
    id,
    tool,
    outcome,
    ...withoutUndefined({ toolUseId, turnId, by, input, rules, answers, message, cause }),
  };
}

/** Returns what an event says of a withdrawn request. */
export function withdrawnBy(cause: ApprovalWithdrawal): Pick<ApprovalSettlement, "cause" | "message"> {
  return { cause, message: WITHDRAWN[cause] };
}

const WITHDRAWN: Readonly<Record<ApprovalWithdrawal, string>> = {
  turn_stopped: "The turn was stopped before anybody answered.",
  taken_back: "Claude Code took the request back before anybody answered.",
  process_ended: "The process ended before anybody answered.",
  session_stopped: "The session stopped before anybody answered.",
  moved: "The session moved to another node before anybody answered.",
  application_ended: "The application ended before anybody answered.",
};
