import { z } from "zod";
import type { SessionName } from "../names.ts";
import { nameKey } from "../names.ts";
import type { Balancer, Candidate } from "./balancer.ts";

/**
 * How one of several sessions is picked.
 *
 * - `"least_busy"`: the one with the fewest turns that run or wait. Of several, one that has a process, and of those the one that was
 *   picked longest ago.
 * - `"round_robin"`: one after the other.
 * - `"random"`: any of them.
 * - `"weighted"`: by chance, the less likely the more of its turns have failed of late. `weights` says what each counts in the
 *   first place, by its place from 0; one that is not named counts 1, and one with 0 is never picked.
 * - `"consistent_hash"`: the same key falls to the same session, and when one comes or goes only its own keys move. Without
 *   a key it is `"least_busy"`.
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

/** What a {@link Balance} may be. */
export const balanceSchema: z.ZodType<Balance> = z.union([
  z.enum(["least_busy", "round_robin", "random", "weighted", "consistent_hash"]),
  z.strictObject({ weights: z.array(z.number().nonnegative()).min(1) }),
  z.custom<Balancer>(
    (value) => typeof value === "object" && value !== null && "pick" in value && typeof value.pick === "function",
    "expected an object with the method `pick`",
  ),
]);

/**
 * The balancer that an option stands for.
 *
 * @param order the names of all that may be candidates, whether or not they are at a moment
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
    // Those that are gone are not kept in mind.
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

/** Which states are preferred, where all else is equal: what can begin at once goes first. */
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

/** How much an error takes from a session's weight: with one of just now it counts half. */
const ERROR_PENALTY = 1;

/** Any of them, with the same chance. */
export function anyOf(candidates: readonly Candidate[], random: number): Choice {
  return candidates[Math.min(candidates.length - 1, Math.floor(random * candidates.length))];
}

/** The one behind the one that was picked last, in `order`, of which candidates are a part. */
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
 * The one with the fewest turns; of those the one that can begin soonest; of those the one with the fewest errors, in tenths; of those
 * the one that was picked longest ago. `pickedAt` tells when that was, as a number that only grows.
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

/** What a weight is worth after these errors. */
export function weightAfter(weight: number, errors: number): number {
  return weight / (1 + ERROR_PENALTY * errors);
}

/** One of them, with a chance in proportion to its weight; none if no weight is left. */
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
 * The one that the key falls to: that of the highest score, which is a hash of both. So only the keys of a session that comes or
 * goes fall to another one.
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

/** FNV-1a with the last mixing of MurmurHash3, which spreads names that differ in their last character. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
