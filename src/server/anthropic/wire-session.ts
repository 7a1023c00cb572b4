import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import type { Clock } from "../../clock.ts";
import type { Spending } from "../../journal/model/spending.ts";
import { NOTHING_SPENT, sumOf } from "../../journal/model/spending.ts";
import type { SessionName } from "../../names.ts";
import { GLOBAL } from "../../session/options/global-name.ts";
import { agentOfSession, type WireAgent, wireAgent } from "./agents.ts";
import { moneyOf } from "./budget.ts";
import { ENVIRONMENT } from "./environments.ts";
import { sessionIdOf } from "./ids.ts";
import { portOf } from "./session-port.ts";
import { storedIn } from "./stored-session.ts";
import type { WireBudget, WireUsage } from "./wire-event.ts";

/** The states of a session on the wire. */
export const STATUSES = ["rescheduling", "running", "idle", "terminated"] as const;

/** See {@link STATUSES}. */
export type WireStatus = (typeof STATUSES)[number];

/** A session on the wire. */
export interface WireSession {
  readonly type: "session";
  readonly id: string;
  readonly status: WireStatus;
  readonly agent: WireAgent;
  readonly environment_id: string;
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly budget: WireBudget | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived_at: string | null;
  readonly stats: { readonly duration_seconds: number };
  readonly usage: WireUsage;
  readonly outcome_evaluations: readonly never[];
  readonly resources: readonly never[];
  readonly vault_ids: readonly never[];
}

/** What sessions on the wire are made of. */
export interface SessionSource {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
}

/** Returns a session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function wireSession({ supervisor, clock }: SessionSource, info: SessionInfo): Promise<WireSession> {
  const { name, title = null, createdAt = 0, archivedAt } = info;
  const stored = storedIn(info.metadata);
  const updatedAt = Math.max(createdAt, stored.updatedAt ?? 0, archivedAt ?? 0);
  const end = archivedAt ?? clock.now();
  return {
    type: "session",
    id: sessionIdOf(name),
    status: statusOf(info),
    agent: wireAgent(agentOfSession(supervisor, name), stored.tools),
    environment_id: ENVIRONMENT.id,
    title,
    metadata: stored.metadata,
    budget: stored.budget ?? null,
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
    archived_at: archivedAt === undefined ? null : new Date(archivedAt).toISOString(),
    stats: { duration_seconds: Math.max(0, end - createdAt) / 1_000 },
    usage: wireUsage(await spentBy(supervisor, name)),
    outcome_evaluations: [],
    resources: [],
    vault_ids: [],
  };
}

/** Returns what a session has spent since its first turn. @throws CastellanError `JOURNAL_UNAVAILABLE` */
export async function spentBy(supervisor: Supervisor, name: SessionName): Promise<Spending> {
  const isGlobal = typeof name !== "string" && name[0] === GLOBAL;
  const reports = isGlobal ? await portOf(supervisor, name).session.usage() : await supervisor.usage({ session: name });
  return reports.length === 0 ? NOTHING_SPENT : sumOf(reports);
}

/** Returns what a session has spent, for the wire. */
export function wireUsage({ costUsd, usage }: Spending): WireUsage {
  return {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_read_input_tokens: usage.cacheReadInputTokens,
    cache_creation: { ephemeral_5m_input_tokens: usage.cacheCreationInputTokens },
    list_cost: moneyOf(costUsd),
  };
}

/** Returns the state of a session on the wire. A session that waits for the client is idle. */
export function statusOf({ state, status }: Pick<SessionInfo, "state" | "status">): WireStatus {
  switch (state) {
    case "archived":
      return "terminated";
    case "busy":
      return "running";
    case "waiting":
      if (status?.waitingFor?.for === "approval") return "idle";
      return status?.waitingFor?.for === "capacity" ? "running" : "rescheduling";
    case "restarting":
      return "rescheduling";
    default:
      // A turn that waits begins at once, unless the session is quarantined or stopped.
      return (status?.mailbox ?? 0) > 0 && state !== "quarantined" && state !== "stopped" ? "running" : "idle";
  }
}
