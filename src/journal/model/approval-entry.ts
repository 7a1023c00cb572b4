import type { JsonObject } from "./session-entry.ts";

/** A permission request of Claude. Times are in milliseconds since the epoch. */
export interface RequestedApproval {
  readonly id: string;
  /** Canonical name of the session. */
  readonly session: string;
  readonly tool: string;
  readonly input: JsonObject;
  readonly requestedAt: number;
}

/** A permission request and its outcome. */
export interface ApprovalEntry extends RequestedApproval {
  readonly outcome?: "approved" | "denied" | "expired" | "withdrawn";
  readonly settledAt?: number;
}
