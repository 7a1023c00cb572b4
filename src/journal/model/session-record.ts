import type { ApprovalEntry } from "./approval-entry.ts";
import type { TurnEntry } from "./turn-entry.ts";

/** One thing that a journal has of a session besides its conversations and what it spent. */
export type SessionRecord =
  | { readonly type: "turn"; readonly turn: TurnEntry }
  | { readonly type: "approval"; readonly approval: ApprovalEntry };

/** How much of that there is. */
export interface SessionExtent {
  readonly turns: number;
  readonly approvals: number;
}
