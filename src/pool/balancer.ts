import type { SessionName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";

/** A session that a balancer may pick. One that is quarantined or stopped is never among them. */
export interface Candidate {
  readonly name: SessionName;
  readonly state: SessionStatus["state"];
  /** How many turns run or wait in it. */
  readonly load: number;
  /**
   * About how many of its turns have failed of late, by a fault that was not their caller's: one of just now counts 1, one of
   * thirty seconds ago a half.
   */
  readonly errors: number;
}

/** What a pick may depend on besides the candidates. */
export interface BalanceRequest {
  /** What the prompt is about, such as a user's id, if its caller has said so. */
  readonly key: string | undefined;
  /** A number from 0 up to 1. */
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
   * One of `candidates`, of which there is at least one; they always come in the same order. What is none of them is taken for
   * `undefined`, which means that none will do for now. It is called often, so it should not take long.
   */
  pick(candidates: readonly Candidate[], request: BalanceRequest): Candidate | undefined;
}

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
