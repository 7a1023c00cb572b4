import { CastellanError, type ExitRecord } from "../../errors.ts";
import type { SessionState } from "./session-state.ts";

/**
 * Why a session in this state takes no turns, if it does not.
 *
 * @param who the session, for messages
 * @param ended how its only process ended, if it was to have but one
 */
export function refusalOf(who: string, state: SessionState, ended: ExitRecord | undefined): CastellanError | undefined {
  if (state.name === "stopped") {
    if (state.as === "supervisor") {
      return new CastellanError("SUPERVISOR_STOPPED", `${who} has ended with its supervisor.`);
    }
    const how = ended === undefined || ended.class === "done" ? "has been stopped" : `has ended: ${ended.message}`;
    return new CastellanError("SESSION_STOPPED", `${who} ${how}.`);
  }
  if (state.name !== "quarantined") return undefined;
  const { lastExits } = state;
  const last = lastExits.at(-1)?.message ?? "unknown";
  const message = `${who} is quarantined after ${lastExits.length} failed starts or crashes, the last: ${last}. Mend the cause and call \`restartSession\`.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: { lastExits } });
}
