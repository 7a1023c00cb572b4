import type { Approval, ApproveTool, SettledApproval } from "../../wire/approval.ts";
import type { GlobalSessionListQuery, GlobalSessionPage } from "../../wire/cluster.ts";
import type { WireName } from "../../wire/name.ts";
import type { SessionInfo, SessionListQuery, SessionPage } from "../../wire/session.ts";
import type { Turn, TurnListQuery, TurnPage } from "../../wire/turn.ts";

/** How a request may be ended early. */
export interface PortOptions {
  readonly signal?: AbortSignal;
}

/** A session as the tools use it. */
export interface McpSession {
  get(): Promise<SessionInfo>;
  /** Returns the turn's id. */
  enqueue(prompt: string): Promise<string>;
  turn(id: string): Promise<Turn>;
  /** Waits for the end of a turn. Rejects when the signal aborts. */
  wait(id: string, options: PortOptions): Promise<Turn>;
  turns(query: TurnListQuery): Promise<TurnPage>;
  interruptTurn(id: string): Promise<Turn>;
  approvals(): Promise<readonly Approval[]>;
  approve(id: string, changes: ApproveTool): Promise<SettledApproval>;
  deny(id: string, message?: string): Promise<SettledApproval>;
}

/**
 * What the tools ask. {@link CastellanClient} of `castellan/client` has this form, and {@link localPort} makes it from the routes of this
 * server. Every method rejects with an error that has a `code` and a message for the caller.
 */
export interface McpPort {
  session(name: WireName): McpSession;
  listSessions(query: SessionListQuery): Promise<SessionPage>;
  listGlobalSessions(query: GlobalSessionListQuery): Promise<GlobalSessionPage>;
  /** Lists the pending permission requests of all sessions. */
  approvals(query: { readonly global?: boolean | undefined }): Promise<readonly Approval[]>;
}
