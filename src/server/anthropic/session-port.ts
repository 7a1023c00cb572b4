import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import type { GlobalSession } from "../../cluster/global-session.ts";
import { withoutUndefined } from "../../fields.ts";
import { nameKey, type SessionName } from "../../names.ts";
import type { ApprovalAnswerer, ApprovalChanges } from "../../session/conversation/approval.ts";
import { GLOBAL, globalName } from "../../session/options/global-name.ts";
import type { Session } from "../../session/session.ts";

/** A permission request of a session on this or another node. */
export interface PortApproval {
  readonly id: string;
  readonly tool: string;
  readonly toolUseId?: string;
  readonly input: Readonly<Record<string, unknown>>;
  approve(changes?: ApprovalChanges): boolean | Promise<boolean>;
  deny(message?: string, options?: ApprovalAnswerer): boolean | Promise<boolean>;
}

/** A session of this supervisor, or a global one. */
export interface SessionPort {
  readonly name: SessionName;
  readonly session: Session | GlobalSession;
  approvals(): Promise<readonly PortApproval[]>;
}

function isGlobal(name: SessionName): name is readonly [typeof GLOBAL, string, ...(string | number)[]] {
  return typeof name !== "string" && name[0] === GLOBAL && typeof name[1] === "string";
}

/** Returns the session of this name, which is brought into memory. @throws CastellanError `SESSION_NOT_FOUND` and others */
export function portOf(supervisor: Supervisor, name: SessionName): SessionPort {
  const session = isGlobal(name) ? supervisor.session(globalName(name)) : supervisor.session(name);
  return { name, session, approvals: async () => await session.approvals() };
}

/** Returns what lists show of a session, or undefined if it was never used. */
export async function infoOf(supervisor: Supervisor, name: SessionName): Promise<SessionInfo | undefined> {
  if (!isGlobal(name)) return await supervisor.findSession(name);
  const { cluster } = supervisor;
  const key = nameKey(name);
  const known = (await cluster?.listSessions({ prefix: globalName(name) })) ?? [];
  if (cluster === undefined || !known.some((session) => nameKey(session.name) === key)) return undefined;
  const status = await cluster.session(globalName(name)).status();
  const { title, labels, createdAt, archivedAt, metadata } = status;
  const state = archivedAt === undefined ? status.state : "archived";
  return { name, state, status, ...withoutUndefined({ title, labels, createdAt, archivedAt, metadata }) };
}
