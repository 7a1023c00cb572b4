import { hasLabels } from "../../journal/model/session-list.ts";
import { beginsWith, type SessionName } from "../../names.ts";
import { GLOBAL } from "../../session/options/global-name.ts";
import type { ResponseView } from "../../session/streams/response-view.ts";
import type { Caller, Scope } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";

/**
 * Whether the caller may know of a session. Routes answer 404 for a session out of reach, and leave it out of lists.
 *
 * @param name a local name, or a global one in the form `["global", …]`, whose first part does not count
 * @param labels the session's own labels
 */
export function mayReach(
  caller: Caller,
  name: SessionName,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  const { prefix, labels: wanted = {} } = caller;
  return (prefix === undefined || beginsWith(bareName(name), prefix)) && hasLabels(labels, wanted);
}

/** Returns a global name of the form `["global", …]` without its first part, and any other as it is. */
export function bareName(name: SessionName): SessionName {
  if (typeof name === "string" || name[0] !== GLOBAL) return name;
  const [, first, ...rest] = name;
  return typeof first === "string" ? [first, ...rest] : name;
}

/** Returns the narrower of two prefixes; undefined if no name begins with both. */
export function narrower(
  one: SessionName | undefined,
  other: SessionName | undefined,
): { readonly prefix: SessionName | undefined } | undefined {
  if (one === undefined || other === undefined) return { prefix: one ?? other };
  if (beginsWith(one, other)) return { prefix: one };
  return beginsWith(other, one) ? { prefix: other } : undefined;
}

/** Whether the caller reaches every session, and so may see what concerns all of them. */
export function reachesAll({ prefix, labels }: Caller): boolean {
  return prefix === undefined && labels === undefined;
}

/** Refuses a caller without the scope. @throws RequestError `FORBIDDEN` */
export function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.has(scope)) return;
  throw new RequestError("FORBIDDEN", `The caller lacks the scope \`${scope}\`.`);
}

/** Refuses a caller whose reach is limited, for requests that concern all sessions. @throws RequestError `FORBIDDEN` */
export function requireWholeReach(caller: Caller): void {
  if (reachesAll(caller)) return;
  throw new RequestError("FORBIDDEN", "This request concerns all sessions, and the caller may reach only some.");
}

/** Returns how much of an error the caller may see. */
export function viewOf(caller: Caller | undefined): ResponseView {
  return caller?.scopes.has("operate") === true && reachesAll(caller) ? "operator" : "user";
}
