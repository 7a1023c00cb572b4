import type { SessionName } from "../names.ts";
import type { SessionHealth } from "../session/controls.ts";
import type { SessionState } from "../session/session-state.ts";

/** How a supervisor does as a whole: whether it takes turns, and why if not. */
export interface SupervisorCondition {
  /** `draining` while it lets turns finish, `stopping` while it ends its processes, `ended` for whatever reason. */
  readonly phase: "running" | "draining" | "stopping" | "ended";
  /** Why it ended, if that was by itself: `max_restarts`, `auto_shutdown`, `journal_lost`. */
  readonly end?: string;
  /** Why its journal takes nothing at this moment, if it does not. */
  readonly journal?: string;
  /** Why it takes no turns of global sessions at this moment, if it does not. */
  readonly cluster?: string;
}

/** How a supervisor and its sessions do. */
export interface SupervisorHealth extends SupervisorCondition {
  /** `unhealthy` if it takes no turns, or none of its sessions does; `degraded` if some of them do not, or not well. */
  readonly status: SessionHealth["status"];
  readonly sessions: number;
  /** How many have a process. */
  readonly active: number;
  readonly states: Readonly<Partial<Record<SessionState["name"], number>>>;
  /** Those that are not healthy, and why. */
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

/** What the health of sessions comes to. */
export function healthOf(condition: SupervisorCondition, reports: readonly SessionReport[]): SupervisorHealth {
  const states: Partial<Record<SessionState["name"], number>> = {};
  for (const { state } of reports) states[state] = (states[state] ?? 0) + 1;
  const details = reports.flatMap(({ name, health }) => (health.status === "healthy" ? [] : [{ name, ...health }]));
  const lost = details.filter(({ status }) => status === "unhealthy").length;
  const takes = condition.phase === "running" && condition.journal === undefined && condition.cluster === undefined;
  const none = reports.length > 0 && lost === reports.length;
  const status = !takes || none ? "unhealthy" : details.length > 0 ? "degraded" : "healthy";
  const active = reports.filter((report) => report.active).length;
  return { ...condition, status, sessions: reports.length, active, states, details };
}

/** One thing that was looked at, and what is wrong with it if something is. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly reason?: string;
}

/** What a probe of Kubernetes, or whoever else asks, is told. */
export interface HealthChecks {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/**
 * Whether the application is worth keeping alive, in the sense of Kubernetes' liveness: `false` means that a restart would help,
 * since the supervisor has ended by itself. Sessions that are set aside, a journal that is away and an API that is overloaded are
 * no reason for a restart.
 */
export function livenessOf(condition: SupervisorCondition): HealthChecks {
  const { end } = condition;
  return all([end === undefined ? { name: "supervisor", ok: true } : { name: "supervisor", ok: false, reason: end }]);
}

/**
 * Whether the application should be sent work, in the sense of Kubernetes' readiness: it neither drains nor stops, can
 * write down what it accepts, and not all of its sessions are set aside.
 */
export function readinessOf(
  condition: SupervisorCondition,
  sessions: readonly { readonly state: SessionState["name"] }[],
): HealthChecks {
  const { phase, journal, cluster } = condition;
  const lost = sessions.length > 0 && sessions.every(({ state }) => state === "quarantined" || state === "stopped");
  return all([
    phase === "running"
      ? { name: "supervisor", ok: true }
      : { name: "supervisor", ok: false, reason: `it is ${phase}` },
    journal === undefined ? { name: "journal", ok: true } : { name: "journal", ok: false, reason: journal },
    ...(cluster === undefined ? [] : [{ name: "cluster", ok: false, reason: cluster }]),
    lost ? { name: "sessions", ok: false, reason: "all of them are set aside" } : { name: "sessions", ok: true },
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
