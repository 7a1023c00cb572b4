import { withoutUndefined } from "../../fields.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { Approval, ApprovalSettlement } from "../conversation/approval.ts";
import type { EventDraft } from "../record/session-event-types.ts";
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
