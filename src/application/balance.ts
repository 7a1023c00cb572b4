import { z } from "zod";
import { CastellanError } from "../errors.ts";
import { formatName, type SessionName } from "../names.ts";
import { type Balance, balancerOf, balanceSchema } from "../pool/balance-option.ts";
import type { Candidate } from "../pool/balancer.ts";
import { candidateOf, pickCandidate } from "../pool/balancer.ts";
import { nameSchema, validate } from "../session/options/validation.ts";
import { serverOf } from "../session/session.ts";
import { type Picker, picker } from "./names/reference.ts";
import { registry } from "./names/registry.ts";

/** Picks one of several sessions each time that it is asked for; made by {@link balance}. */
export interface Balanced extends Picker {
  /** The same, for a balancer that looks at keys: the one that this key falls to. */
  by(key: string): Picker;
}

const schema = z.strictObject({
  names: z.array(nameSchema).min(1),
  balance: balanceSchema,
  key: z.string().min(1).optional(),
});

/**
 * Stands for one of several sessions of this process, picked anew each time; accepted wherever a name is. Sessions that are not
 * there, are quarantined or stopped are never picked. When it is used and none is left, it throws `SESSION_NOT_FOUND` or why
 * the last of them takes no turns.
 *
 * @param names the sessions, whichever supervisors hold them
 * @param how default `"least_busy"`
 * @throws CastellanError `INVALID_OPTIONS`
 * @example
 * const reviewers = balance(["reviewer-a", "reviewer-b"], "round_robin");
 * await query(reviewers, prompt);
 * await query(balance(["a", "b", "c"], "consistent_hash").by(userId), prompt);
 */
export function balance(names: readonly SessionName[], how: Balance = "least_busy"): Balanced {
  return balanceWith(names, how, Math.random);
}

/** As {@link balance}, with chance of the caller's: a function that gives a number from 0 up to 1. */
export function balanceWith(names: readonly SessionName[], how: Balance, random: () => number): Balanced {
  validate(schema, { names, balance: how }, "balance");
  const balancer = balancerOf(how, () => names);
  const pick = (key?: string): SessionName => {
    let lacking: unknown;
    const candidates = names.flatMap((name): Candidate[] => {
      const found = candidateOrWhyNot(name);
      if ("candidate" in found) return [found.candidate];
      lacking = found.error;
      return [];
    });
    const chosen = pickCandidate(balancer, candidates, key, random());
    if (chosen !== undefined) return chosen.name;
    throw lacking ?? none(names);
  };
  const by = (key: string): Picker => {
    validate(schema, { names, balance: how, key }, "balance");
    return picker(() => pick(key));
  };
  return { ...picker(() => pick()), by };
}

function candidateOrWhyNot(name: SessionName): { readonly candidate: Candidate } | { readonly error: unknown } {
  try {
    const session = registry.find(name);
    const server = serverOf(session);
    const candidate = candidateOf(name, session.status(), server?.recentErrors ?? 0);
    if (candidate !== undefined) return { candidate };
    return { error: server?.refusal() ?? none([name]) };
  } catch (error) {
    return { error };
  }
}

function none(names: readonly SessionName[]): CastellanError<"SESSION_STOPPED"> {
  const message = `None of ${names.map(formatName).join(", ")} takes turns, or the balancer picked none of them.`;
  return new CastellanError("SESSION_STOPPED", message);
}
