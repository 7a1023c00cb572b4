import type { SessionName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";

/** A session that a balancer can pick. Quarantined and stopped sessions are never candidates. */
export interface Candidate {
  readonly name: SessionName;
  readonly state: SessionStatus["state"];
  /** The number of running and queued turns. */
  readonly load: number;
  /**
   * A decaying count of recent failed turns, excluding failures that the caller caused: a failure counts 1 at first and one half
   * after thirty seconds.
   */
  readonly errors: number;
}

/** What a pick can depend on besides the candidates. */
export interface BalanceRequest {
  /** The key that the caller gave, such as a user id. */
  readonly key: string | undefined;
  /** A number from 0 (inclusive) to 1 (exclusive). */
  readonly random: number;
}

/**
 * Picks one of several sessions.
 *
 * @example
 * const first: Balancer = { pick: (candidates) => candidates[0] };
 * pool("summaries", { size: 4, balance: first });
 */
export interface Balancer {
  /**
   * Picks one of `candidates`, which are never empty and always in the same order. Return `undefined` to pick none for now; any
   * other value that is not a candidate counts as `undefined`. Castellan calls this often, so it should be fast.
   */
  pick(candidates: readonly Candidate[], request: BalanceRequest): Candidate | undefined;
}

/** Returns a session as a balancer sees it, or undefined if the session takes no turns. */
export function candidateOf(
  name: SessionName,
  { state, mailbox }: Pick<SessionStatus, "state" | "mailbox">,
  errors: number,
): Candidate | undefined {
  if (state === "quarantined" || state === "stopped") return undefined;
  const runs = state === "busy" || state === "waiting" ? 1 : 0;
  return { name, state, load: mailbox + runs, errors };
}

/** Returns the candidate that a balancer picks, or undefined if it picks none of them. */
export function pickCandidate(
  balancer: Balancer,
  candidates: readonly Candidate[],
  key: string | undefined,
  random: number,
): Candidate | undefined {
  if (candidates.length === 0) return undefined;
  const pick = balancer.pick(candidates, { key, random });
  return candidates.find((candidate) => candidate === pick);
}
