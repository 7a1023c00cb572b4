import type { JsonObject } from "./session-entry.ts";

/** A permission that Claude asked for. Times are milliseconds since the epoch. */
export interface RequestedApproval {
  readonly id: string;
  /** The canonical form of the name of the session. */
  readonly session: string;
  readonly tool: string;
  readonly input: JsonObject;
  readonly requestedAt: number;
}

/** A permission that Claude asked for, and what was answered. */
export interface ApprovalEntry extends RequestedApproval {
  readonly outcome?: "approved" | "denied" | "expired" | "withdrawn";
  readonly settledAt?: number;
}
