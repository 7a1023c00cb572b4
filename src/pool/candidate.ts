import type { SessionName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { Balancer, Candidate } from "./balancer.ts";

/** What a balancer sees of a session; `undefined` of one that takes no turns. */
export function candidateOf(
  name: SessionName,
  { state, mailbox }: Pick<SessionStatus, "state" | "mailbox">,
  errors: number,
): Candidate | undefined {
  if (state === "quarantined" || state === "stopped") return undefined;
  const runs = state === "busy" || state === "waiting" ? 1 : 0;
  return { name, state, load: mailbox + runs, errors };
}

/** The candidate that a balancer picks, if it picks one of them. */
export function pickedBy(
  balancer: Balancer,
  candidates: readonly Candidate[],
  key: string | undefined,
  random: number,
): Candidate | undefined {
  if (candidates.length === 0) return undefined;
  const pick = balancer.pick(candidates, { key, random });
  return candidates.find((candidate) => candidate === pick);
}
