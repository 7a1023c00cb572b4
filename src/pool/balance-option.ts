import { z } from "zod";
import { nameKey, type SessionName } from "../names.ts";
import type { Balancer, Candidate } from "./balancer.ts";
import { anyOf, hashedOf, leastBusyOf, nextOf, weightedOf } from "./choices.ts";

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
    const place = new Map(order().map((name, at) => [nameKey(name), at]));
    const weightOf = ({ name }: Candidate): number => weights[place.get(nameKey(name)) ?? -1] ?? 1;
    return weightedOf(candidates, weightOf, random);
  };
}
