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

/** Picks one of several sessions each time it is used; made by {@link balance}. */
export interface Balanced extends Picker {
  /** Returns a reference that picks by this key, for balancers that use keys. */
  by(key: string): Picker;
}

const schema = z.strictObject({
  names: z.array(nameSchema).min(1),
  balance: balanceSchema,
  key: z.string().min(1).optional(),
});

/**
 * Makes a reference that picks one of several sessions of this process each time it is used. Accepted wherever a name is. Never
 * picks a session that does not exist, is quarantined or is stopped. When no session is left, using it throws
 * `SESSION_NOT_FOUND`, or the reason for which the last session takes no turns.
 *
 * @param names the sessions, in any supervisor
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

/** Same as {@link balance}, with the caller's source of numbers from 0 (inclusive) to 1 (exclusive). */
export function balanceWith(names: readonly SessionName[], how: Balance, random: () => number): Balanced {
  validate(schema, { names, balance: how }, "balance");
  const balancer = balancerOf(how, () => names);
  const pick = (key?: string): SessionName => {
    let lastError: unknown;
    const candidates = names.flatMap((name): Candidate[] => {
      const found = candidateOrError(name);
      if ("candidate" in found) return [found.candidate];
      lastError = found.error;
      return [];
    });
    const chosen = pickCandidate(balancer, candidates, key, random());
    if (chosen !== undefined) return chosen.name;
    throw lastError ?? noneError(names);
  };
  const by = (key: string): Picker => {
    validate(schema, { names, balance: how, key }, "balance");
    return picker(() => pick(key));
  };
  return { ...picker(() => pick()), by };
}

function candidateOrError(name: SessionName): { readonly candidate: Candidate } | { readonly error: unknown } {
  try {
    const session = registry.find(name);
    const server = serverOf(session);
    const candidate = candidateOf(name, session.status(), server?.recentErrors ?? 0);
    if (candidate !== undefined) return { candidate };
    return { error: server?.refusal() ?? noneError([name]) };
  } catch (error) {
    return { error };
  }
}

function noneError(names: readonly SessionName[]): CastellanError<"SESSION_STOPPED"> {
  const message = `None of the sessions ${names.map(formatName).join(", ")} takes turns, or the balancer picked none.`;
  return new CastellanError("SESSION_STOPPED", message);
}
