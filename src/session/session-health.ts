import type { SessionServer } from "./session-server.ts";

/**
 * How a session does: `degraded` means that turns wait and will be answered, or that something else went wrong, see
 * `status().faults`; `unhealthy` that turns will not be answered.
 */
export type SessionHealth =
  | { readonly status: "healthy" }
  | { readonly status: "degraded" | "unhealthy"; readonly reason: string };

/** Whether the session does its work, by a question to its process. Never rejects. */
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
    // One that hibernates is not woken to say that it is well.
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
