import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import type { SessionHealth } from "../../session/session-health.ts";
import type { SessionState } from "../../session/status/session-state.ts";
import { type ChildReport, problemOf } from "../tree/child-report.ts";

/** How a supervisor does as a whole: whether it takes turns, and why if not. */
export interface SupervisorCondition {
  /** `draining` while it lets turns finish, `stopping` while it ends its processes, `ended` for whatever reason. */
  readonly phase: "running" | "draining" | "stopping" | "ended";
  /** Why it ended, if that was by itself: `max_restarts`, `auto_shutdown`, `journal_lost`. */
  readonly end?: string;
  /** Why its journal takes nothing at this moment, if it does not. */
  readonly journal?: string;
  /** What its journal has lost, or has damaged, as far as that is known; the rest of it is used. */
  readonly journalDamage?: string;
  /** Why it takes no turns of global sessions at this moment, if it does not. */
  readonly cluster?: string;
}

/** How a supervisor and its sessions do. */
export interface SupervisorHealth extends SupervisorCondition {
  /**
   * `unhealthy` if it takes no turns, or none of its sessions does, or, where it has no sessions, all its workers are quarantined;
   * `degraded` if some of its children are not up, or not well, or its journal can only be read: what runs goes on, and turns are
   * taken again when it can be written; or its journal is damaged, or lacks what it had.
   */
  readonly status: SessionHealth["status"];
  readonly sessions: number;
  /** How many have a process. */
  readonly active: number;
  readonly states: Readonly<Partial<Record<SessionState["name"], number>>>;
  /** The children that are not healthy, and why: sessions by their names, workers, supervisors and pools by theirs. */
  readonly details: readonly {
    readonly name: SessionName;
    readonly status: SessionHealth["status"];
    readonly reason: string;
  }[];
}

/** A session as the health of its supervisor sees it. */
export interface SessionReport {
  readonly name: SessionName;
  readonly state: SessionState["name"];
  readonly active: boolean;
  readonly health: SessionHealth;
}

/** What the health of sessions comes to, and how the other children do. */
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
    ...others.flatMap((child) => failing(child)),
    ...pools.flatMap((pool) => shortfalls(pool)),
  ];
  const takes = condition.phase === "running" && condition.cluster === undefined;
  const limps = condition.journal !== undefined || condition.journalDamage !== undefined || details.length > 0;
  const none =
    reports.length > 0
      ? reports.every(({ health }) => health.status === "unhealthy")
      : others.length > 0 && others.every(({ state }) => state === "quarantined");
  const status = !takes || none ? "unhealthy" : limps ? "degraded" : "healthy";
  const active = reports.filter((report) => report.active).length;
  return { ...condition, status, sessions: reports.length, active, states, details };
}

/** What is wrong with a pool, if something is. */
function shortfalls({ name, size, shortfall }: PoolStatus): SupervisorHealth["details"] {
  return shortfall === undefined ? [] : [{ name, status: size === 0 ? "unhealthy" : "degraded", reason: shortfall }];
}

/** What is wrong with a worker or a supervisor, if something is. */
function failing(child: ChildReport): SupervisorHealth["details"] {
  const reason = problemOf(child);
  if (reason === undefined) return [];
  return [{ name: child.id, status: child.state === "quarantined" ? "unhealthy" : "degraded", reason }];
}

/** One thing that was looked at, and what is wrong with it if something is. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What is wrong with it, also where the answer to the probe is `ok` all the same. */
  readonly reason?: string;
}

/** What a probe of Kubernetes, or whoever else asks, is told. */
export interface HealthChecks {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/**
 * Whether the application is worth keeping alive, in the sense of Kubernetes' liveness: `false` means that a restart would help,
 * since the supervisor has ended by itself. Children that are quarantined, a journal that is away and an API that is overloaded are
 * no reason for a restart; workers and supervisors that are quarantined are named.
 */
export function livenessOf(condition: SupervisorCondition, others: readonly ChildReport[]): HealthChecks {
  const { end } = condition;
  return all([
    end === undefined ? { name: "supervisor", ok: true } : { name: "supervisor", ok: false, reason: end },
    ...childrenCheck(others, true),
  ]);
}

/** How workers and supervisors do, if there are any; `ok` says what the probe makes of those that are not up. */
function childrenCheck(others: readonly ChildReport[], ok: boolean): Check[] {
  if (others.length === 0) return [];
  const reasons = others.flatMap((child) => problemOf(child) ?? []);
  return [reasons.length === 0 ? { name: "children", ok: true } : { name: "children", ok, reason: reasons.join("; ") }];
}

/**
 * Whether the application should be sent work, in the sense of Kubernetes' readiness: it neither drains nor stops, can
 * write down what it accepts, not all of its sessions are quarantined, and none of its workers and supervisors is being restarted or
 * is quarantined.
 */
export function readinessOf(
  condition: SupervisorCondition,
  sessions: readonly { readonly state: SessionState["name"] }[],
  others: readonly ChildReport[],
): HealthChecks {
  const { phase, journal, journalDamage, cluster } = condition;
  const lost = sessions.length > 0 && sessions.every(({ state }) => state === "quarantined" || state === "stopped");
  return all([
    phase === "running"
      ? { name: "supervisor", ok: true }
      : { name: "supervisor", ok: false, reason: `it is ${phase}` },
    journal === undefined
      ? { name: "journal", ok: true, ...withoutUndefined({ reason: journalDamage }) }
      : { name: "journal", ok: false, reason: journal },
    ...(cluster === undefined ? [] : [{ name: "cluster", ok: false, reason: cluster }]),
    lost ? { name: "sessions", ok: false, reason: "all of them are quarantined" } : { name: "sessions", ok: true },
    ...childrenCheck(others, false),
  ]);
}

function all(checks: readonly Check[]): HealthChecks {
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** Checks as an HTTP response: 200 or 503, with what was looked at as JSON. */
function checksResponse({ ok, checks }: HealthChecks): Response {
  const body = JSON.stringify({ status: ok ? "ok" : "unavailable", checks });
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(body, { status: ok ? 200 : 503, headers });
}

/** What {@link healthHandlers} makes. */
export interface HealthHandlers {
  /** Whether the supervisor goes on: `false` means that a restart of the application would help. */
  livez(request?: Request): Response;
  /** Whether the application should be sent work: it takes turns, can write them down, and has sessions to run them. */
  readyz(request?: Request): Response;
}

/**
 * Handlers of Web-standard requests for the probes of Kubernetes: 200 if all is well, 503 if not.
 *
 * @example
 * const { livez, readyz } = healthHandlers(supervisor);
 * app.get("/livez", () => livez()).get("/readyz", () => readyz());
 */
export function healthHandlers(of: { livez(): HealthChecks; readyz(): HealthChecks }): HealthHandlers {
  return { livez: () => checksResponse(of.livez()), readyz: () => checksResponse(of.readyz()) };
}
