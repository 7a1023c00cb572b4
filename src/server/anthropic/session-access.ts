import type { SessionInfo } from "../../application/finding.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import { mayReach } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { nameOfSessionId } from "./ids.ts";
import { infoOf } from "./session-port.ts";

/**
 * Returns the session with this id, without bringing it into memory.
 *
 * @throws RequestError `NOT_FOUND` if it does not exist, or the caller may not reach it; CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function sessionFor(supervisor: Supervisor, caller: Caller, id: string): Promise<SessionInfo> {
  const name = nameOfSessionId(id);
  // Labels are known only once the session is.
  const isInPrefix = name !== undefined && mayReach({ ...caller, labels: {} }, name, {});
  const info = isInPrefix ? await infoOf(supervisor, name) : undefined;
  if (info === undefined || !mayReach(caller, info.name, info.labels)) {
    throw new RequestError("NOT_FOUND", `There is no session \`${id.slice(0, 200)}\`.`);
  }
  return info;
}

/** Refuses a session that was archived. @throws RequestError `UNSUPPORTED` */
export function refuseArchived({ state }: SessionInfo): void {
  if (state !== "archived") return;
  throw new RequestError("UNSUPPORTED", "The session is archived; it takes no events and no changes.");
}
