import type { Supervisor } from "../../application/supervisor.ts";
import type { GlobalSession } from "../../cluster/global-session.ts";
import { CastellanError } from "../../errors.ts";
import { formatName } from "../../names.ts";
import type { Session } from "../../session/session.ts";
import { isGlobal, type WireName } from "../../wire/name.ts";
import { mayReach, reachesAll } from "../access/reach.ts";
import type { Caller } from "../http/caller.ts";
import { libraryName, listedName } from "./shown-name.ts";

/** A caller and the supervisor that it asks. */
interface Asking {
  readonly supervisor: Supervisor;
  readonly caller: Caller;
}

/** Returns the error for a session that does not exist or is out of reach: callers cannot tell which. */
export function sessionNotFound(name: WireName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `There is no session ${formatName(listedName(name))}.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

/**
 * Returns a session that is known and within the caller's reach. Brings one back that its template has evicted.
 *
 * @param named whether to create a template's session that has not been used yet. A caller who reaches only certain labels cannot
 * create one this way, since its labels are not known before
 * @throws CastellanError `SESSION_NOT_FOUND`
 */
export async function reachedSession(
  { supervisor, caller }: Asking,
  name: WireName,
  { named = false }: { readonly named?: boolean } = {},
): Promise<Session | GlobalSession> {
  if (isGlobal(name)) return await reachedGlobalSession(supervisor, caller, name);
  if (!named || caller.labels !== undefined) {
    const info = await supervisor.findSession(name);
    if (info === undefined || !mayReach(caller, name, info.labels)) throw sessionNotFound(name);
  } else if (!mayReach(caller, name, undefined)) {
    throw sessionNotFound(name);
  }
  return supervisor.session(name);
}

/** Checks that the caller reaches a session, whether or not it exists. @throws CastellanError `SESSION_NOT_FOUND` */
export async function checkReach({ supervisor, caller }: Asking, name: WireName): Promise<void> {
  if (reachesAll(caller)) return;
  if (caller.labels === undefined && mayReach(caller, listedName(name), undefined)) return;
  if (isGlobal(name)) await reachedGlobalSession(supervisor, caller, name);
  else if (!mayReach(caller, name, (await supervisor.findSession(name))?.labels)) throw sessionNotFound(name);
}

async function reachedGlobalSession(
  supervisor: Supervisor,
  caller: Caller,
  name: Extract<WireName, { readonly global: unknown }>,
): Promise<GlobalSession> {
  const { labels: _, ...byName } = caller;
  if (!mayReach(byName, listedName(name), undefined)) throw sessionNotFound(name);
  const session = supervisor.session(libraryName(name));
  if (caller.labels !== undefined && !mayReach(caller, listedName(name), (await session.status()).labels)) {
    throw sessionNotFound(name);
  }
  return session;
}
