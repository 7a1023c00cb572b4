import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import type { SessionHealth } from "../../session/session-health.ts";
import type { SessionState } from "../../session/status/session-state.ts";
import { type ChildReport, problemOf } from "../tree/child-report.ts";

/** The condition of a supervisor as a whole: whether it takes turns, and why not. */
export interface SupervisorCondition {
  /** `draining`: it lets turns finish. `stopping`: it ends its processes. `ended`: for whatever reason. */
  readonly phase: "running" | "draining" | "stopping" | "ended";
  /** Why it ended by itself: `max_restarts`, `auto_shutdown` or `journal_lost`. */
  readonly end?: string;
  /** Why its journal currently accepts no writes; absent if it does. */
  readonly journal?: string;
  /** What its journal is known to have lost or damaged; the rest stays in use. */
  readonly journalDamage?: string;
  /** Why it currently takes no turns of global sessions; absent if it does. */
  readonly cluster?: string;
  /** What is wrong with the clock of its machine, compared with that of the cluster's database; absent if nothing is known to be. */
  readonly clock?: string;
}

/** The health of a supervisor and its children. */
export interface SupervisorHealth extends SupervisorCondition {
  /**
   * `unhealthy`: it takes no turns, all its sessions are unhealthy, or it has no sessions and all its workers are quarantined.
   * `degraded`: a child has a problem, the journal cannot be written (running turns continue, new turns are rejected until it
   * can), the journal is damaged or incomplete, or the clock of a node differs from the database's.
   */
  readonly status: SessionHealth["status"];
  readonly sessions: number;
  /** The number of sessions with a process. */
  readonly active: number;
  readonly states: Readonly<Partial<Record<SessionState["name"], number>>>;
  /** The children that are not healthy, with the reason: sessions, workers, supervisors and pools by name. */
  readonly details: readonly {
    readonly name: SessionName;
    readonly status: SessionHealth["status"];
    readonly reason: string;
  }[];
}

/** A session's report for the health of its supervisor. */
export interface SessionReport {
  readonly name: SessionName;
  readonly state: SessionState["name"];
  readonly active: boolean;
  readonly health: SessionHealth;
}

/** Combines the reports of sessions and other children. */
export function healthOf(
  condition: SupervisorCondition,
  reports: readonly SessionReport[],
  others: readonly ChildReport[],
  pools: readonly PoolStatus[],
): SupervisorHealth {
  const states: Partial<Record<SessionState["name"], number>> = {};
  for (const { state } of reports) states[state] = (states[state] ?? 0) + 1;
  const details = [
    ...reports.flatMap(({ name, health }) => (health.status === "healthy" ? [] : [{ name, ...health }])),
    ...others.flatMap((child) => childDetails(child)),
    ...pools.flatMap((pool) => poolDetails(pool)),
  ];
  const takesTurns = condition.phase === "running" && condition.cluster === undefined;
  const isDegraded =
    condition.journal !== undefined ||
    condition.journalDamage !== undefined ||
    condition.clock !== undefined ||
    details.length > 0;
  const noneHealthy =
    reports.length > 0
      ? reports.every(({ health }) => health.status === "unhealthy")
      : others.length > 0 && others.every(({ state }) => state === "quarantined");
  const status = !takesTurns || noneHealthy ? "unhealthy" : isDegraded ? "degraded" : "healthy";
  const active = reports.filter((report) => report.active).length;
  return { ...condition, status, sessions: reports.length, active, states, details };
}

/** Returns the health detail of a pool that is short of members. */
function poolDetails({ name, size, shortfall }: PoolStatus): SupervisorHealth["details"] {
  return shortfall === undefined ? [] : [{ name, status: size === 0 ? "unhealthy" : "degraded", reason: shortfall }];
}

/** Returns the health detail of a worker or a supervisor that has a problem. */
function childDetails(child: ChildReport): SupervisorHealth["details"] {
  const reason = problemOf(child);
  if (reason === undefined) return [];
  return [{ name: child.id, status: child.state === "quarantined" ? "unhealthy" : "degraded", reason }];
}

/** The result of one check. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** The problem. Present also for a problem that does not fail the probe. */
  readonly reason?: string;
}

/** The result of a probe, as for Kubernetes. */
export interface HealthChecks {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/**
 * Returns Kubernetes' liveness: not ok once the supervisor has ended by itself, since a restart of the application would help.
 * Quarantined children, an unreachable journal and an overloaded API do not fail it; the reasons name quarantined workers and
 * supervisors.
 */
export function livenessOf(condition: SupervisorCondition, others: readonly ChildReport[]): HealthChecks {
  const { end } = condition;
  return combine([
    end === undefined ? { name: "supervisor", ok: true } : { name: "supervisor", ok: false, reason: end },
    ...childrenCheck(others, true),
  ]);
}

/** Checks the workers and supervisors, if there are any. @param ok the result if some of them have a problem */
function childrenCheck(others: readonly ChildReport[], ok: boolean): Check[] {
  if (others.length === 0) return [];
  const reasons = others.flatMap((child) => problemOf(child) ?? []);
  return [reasons.length === 0 ? { name: "children", ok: true } : { name: "children", ok, reason: reasons.join("; ") }];
}

/**
 * Returns Kubernetes' readiness: ok while the supervisor neither drains nor stops, its journal accepts writes, not all sessions are
 * quarantined or stopped, and no worker or supervisor is restarting or quarantined.
 */
export function readinessOf(
  condition: SupervisorCondition,
  sessions: readonly { readonly state: SessionState["name"] }[],
  others: readonly ChildReport[],
): HealthChecks {
  const { phase, journal, journalDamage, cluster, clock } = condition;
  const lost = sessions.length > 0 && sessions.every(({ state }) => state === "quarantined" || state === "stopped");
  return combine([
    phase === "running"
      ? { name: "supervisor", ok: true }
      : { name: "supervisor", ok: false, reason: `it is ${phase}` },
    journal === undefined
      ? { name: "journal", ok: true, ...withoutUndefined({ reason: journalDamage }) }
      : { name: "journal", ok: false, reason: journal },
    ...(cluster === undefined ? [] : [{ name: "cluster", ok: false, reason: cluster }]),
    ...(clock === undefined ? [] : [{ name: "clock", ok: true, reason: clock }]),
    lost
      ? { name: "sessions", ok: false, reason: "all sessions are quarantined or stopped" }
      : { name: "sessions", ok: true },
    ...childrenCheck(others, false),
  ]);
}

function combine(checks: readonly Check[]): HealthChecks {
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** Returns the checks as an HTTP response: 200 or 503, with the results as JSON. */
function checksResponse({ ok, checks }: HealthChecks): Response {
  const body = JSON.stringify({ status: ok ? "ok" : "unavailable", checks });
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(body, { status: ok ? 200 : 503, headers });
}

/** The handlers that {@link healthHandlers} makes. */
export interface HealthHandlers {
  /** Liveness: 503 means that a restart of the application would help. */
  livez(request?: Request): Response;
  /** Readiness: whether the application can be sent work. It takes turns, can journal them, and has sessions to run them. */
  readyz(request?: Request): Response;
}

/**
 * Makes handlers of web-standard requests for Kubernetes' probes: 200 if ok, 503 if not.
 *
 * @example
 * const { livez, readyz } = healthHandlers(supervisor);
 * app.get("/livez", () => livez()).get("/readyz", () => readyz());
 */
export function healthHandlers(of: { livez(): HealthChecks; readyz(): HealthChecks }): HealthHandlers {
  return { livez: () => checksResponse(of.livez()), readyz: () => checksResponse(of.readyz()) };
}
