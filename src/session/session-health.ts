import type { SessionServer } from "./session-server.ts";

/**
 * The health of a session. `degraded`: turns wait and will be answered, or something else failed, see
 * `status().faults`. `unhealthy`: turns will not be answered.
 */
export type SessionHealth =
  | { readonly status: "healthy" }
  | { readonly status: "degraded" | "unhealthy"; readonly reason: string };

/** Checks whether the session works, with a request to its process. Never rejects. */
export async function healthOfSession(server: SessionServer): Promise<SessionHealth> {
  const { state, lastExit, waitingFor } = server.status();
  if (state === "quarantined" || state === "stopped") {
    return { status: "unhealthy", reason: server.refusal()?.message ?? `the session is ${state}` };
  }
  if (state === "starting" || state === "restarting") {
    const why = lastExit === undefined ? "" : `; its last process: ${lastExit.message}`;
    return { status: "degraded", reason: `the session is ${state}${why}` };
  }
  try {
    // A hibernated session is healthy; do not wake it.
    if (state !== "hibernated") await server.ping();
  } catch (error) {
    return { status: "unhealthy", reason: error instanceof Error ? error.message : String(error) };
  }
  const { faults } = server.status();
  const reasons = [
    ...(waitingFor === undefined || waitingFor.for === "approval" ? [] : [`turns are held back for ${waitingFor.for}`]),
    ...[server.journalFault, ...faults].flatMap((fault) => fault?.message ?? []),
  ];
  return reasons.length === 0 ? { status: "healthy" } : { status: "degraded", reason: reasons.join("; ") };
}
