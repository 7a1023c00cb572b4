import { z } from "zod";
import type { SessionName } from "../names.ts";
import { nameKey } from "../names.ts";
import type { Balancer, Candidate } from "./balancer.ts";

/**
 * How a balancer picks one of several sessions.
 *
 * - `"least_busy"`: the session with the fewest running and queued turns. Ties go to a session that has a process, then to the
 *   one picked longest ago.
 * - `"round_robin"`: each session in turn.
 * - `"random"`: any session, with equal probability.
 * - `"weighted"`: at random, in proportion to weight; recent failures lower a session's weight. `weights` holds the weights in
 *   the order of the sessions. A session without an entry weighs 1; a session with weight 0 is never picked.
 * - `"consistent_hash"`: the same key always maps to the same session. Adding or removing a session moves only that session's
 *   keys. A request without a key is balanced as `"least_busy"`.
 * - a {@link Balancer} of your own.
 */
export type Balance =
  | "least_busy"
  | "round_robin"
  | "random"
  | "weighted"
  | "consistent_hash"
  | { readonly weights: readonly number[] }
  | Balancer;

/** The schema of {@link Balance}. */
export const balanceSchema: z.ZodType<Balance> = z.union([
  z.enum(["least_busy", "round_robin", "random", "weighted", "consistent_hash"]),
  z.strictObject({ weights: z.array(z.number().nonnegative()).min(1) }),
  z.custom<Balancer>(
    (value) => typeof value === "object" && value !== null && "pick" in value && typeof value.pick === "function",
    "expected an object with the method `pick`",
  ),
]);

/**
 * Returns the balancer that an option stands for.
 *
 * @param order the names of all sessions that can be candidates, including those that currently are not
 */
export function balancerOf(balance: Balance, order: () => readonly SessionName[]): Balancer {
  if (typeof balance === "object") {
    return "pick" in balance ? balance : { pick: weighted(balance.weights, order) };
  }
  switch (balance) {
    case "random":
      return { pick: (candidates, { random }) => anyOf(candidates, random) };
    case "least_busy":
      return { pick: leastBusy(order) };
    case "weighted":
      return { pick: weighted([], order) };
    case "consistent_hash": {
      const keyless = leastBusy(order);
      return {
        pick: (candidates, request) =>
          request.key === undefined ? keyless(candidates, request) : hashedOf(candidates, request.key),
      };
    }
    case "round_robin": {
      let last: SessionName | undefined;
      const pick = (candidates: readonly Candidate[]): Candidate | undefined => {
        const next = nextOf(candidates, order(), last);
        last = next?.name;
        return next;
      };
      return { pick };
    }
  }
}

function leastBusy(order: () => readonly SessionName[]): Balancer["pick"] {
  const picks = new Map<string, number>();
  let count = 0;
  return (candidates) => {
    const pick = leastBusyOf(candidates, ({ name }) => picks.get(nameKey(name)) ?? 0);
    if (pick !== undefined) picks.set(nameKey(pick.name), ++count);
    // Forgets sessions that no longer exist.
    if (picks.size > order().length) {
      const present = new Set(order().map((name) => nameKey(name)));
      for (const key of picks.keys()) if (!present.has(key)) picks.delete(key);
    }
    return pick;
  };
}

function weighted(weights: readonly number[], order: () => readonly SessionName[]): Balancer["pick"] {
  return (candidates, { random }) => {
    const position = new Map(order().map((name, at) => [nameKey(name), at]));
    const weightOf = ({ name }: Candidate): number => weights[position.get(nameKey(name)) ?? -1] ?? 1;
    return weightedOf(candidates, weightOf, random);
  };
}

type Choice = Candidate | undefined;

/** The preferred states among equally loaded sessions: those that can start a turn soonest come first. */
const PREFERENCE: Readonly<Record<Candidate["state"], number>> = {
  idle: 0,
  busy: 1,
  hibernated: 2,
  starting: 3,
  waiting: 4,
  restarting: 5,
  quarantined: 6,
  stopped: 6,
};

/** How much one error reduces a session's weight: right after one error the session counts half. */
const ERROR_PENALTY = 1;

/** Returns any candidate, with equal probability. */
export function anyOf(candidates: readonly Candidate[], random: number): Choice {
  return candidates[Math.min(candidates.length - 1, Math.floor(random * candidates.length))];
}

/** Returns the candidate that follows `last` in `order`, which contains all candidates. */
export function nextOf(
  candidates: readonly Candidate[],
  order: readonly SessionName[],
  last: SessionName | undefined,
): Choice {
  if (last === undefined) return candidates[0];
  const position = new Map(order.map((name, at) => [nameKey(name), at]));
  const at = position.get(nameKey(last)) ?? -1;
  return candidates.find(({ name }) => (position.get(nameKey(name)) ?? 0) > at) ?? candidates[0];
}

/**
 * Returns the candidate with the fewest turns. Ties go to the one that can start soonest, then to the one with the fewest errors
 * (in tenths), then to the one picked longest ago. `pickedAt` returns an increasing number for each pick.
 */
export function leastBusyOf(
  candidates: readonly Candidate[],
  pickedAt: (candidate: Candidate) => number = () => 0,
): Choice {
  return candidates.toSorted(
    (one, other) =>
      one.load - other.load ||
      PREFERENCE[one.state] - PREFERENCE[other.state] ||
      Math.round(one.errors * 10) - Math.round(other.errors * 10) ||
      pickedAt(one) - pickedAt(other),
  )[0];
}

/** Returns a weight reduced by recent errors. */
export function weightAfter(weight: number, errors: number): number {
  return weight / (1 + ERROR_PENALTY * errors);
}

/** Returns a candidate at random, in proportion to weight; undefined if every weight is 0. */
export function weightedOf(
  candidates: readonly Candidate[],
  weightOf: (candidate: Candidate) => number,
  random: number,
): Choice {
  const weighted = candidates
    .map((candidate) => ({ candidate, weight: weightAfter(weightOf(candidate), candidate.errors) }))
    .filter(({ weight }) => weight > 0);
  let left = random * weighted.reduce((sum, { weight }) => sum + weight, 0);
  for (const { candidate, weight } of weighted) {
    left -= weight;
    if (left < 0) return candidate;
  }
  return weighted.at(-1)?.candidate;
}

/**
 * Returns the candidate with the highest hash of name and key (rendezvous hashing), so that adding or removing a session moves
 * only its own keys.
 */
export function hashedOf(candidates: readonly Candidate[], key: string): Choice {
  let best: Choice;
  let highest = -1;
  for (const candidate of candidates) {
    const score = hash(`${nameKey(candidate.name)} ${key}`);
    if (score <= highest) continue;
    [best, highest] = [candidate, score];
  }
  return best;
}

/** FNV-1a, finished with MurmurHash3's mixer, which spreads names that differ only in their last character. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
