import { z } from "zod";
import type { WireBudget, WireMoney } from "./wire-event.ts";

/** A positive whole number of cents, without leading zeros. */
const CENTS = /^[1-9]\d{0,11}$/;

/** Parses a budget. */
export const budgetSchema: z.ZodType<WireBudget> = z.strictObject({
  type: z.literal("limit"),
  max_list_cost: z.strictObject({
    amount: z.string().regex(CENTS, "expected cents as a whole number without leading zeros, such as `2500`"),
    currency: z.literal("USD"),
  }),
});

/** Returns an amount for the wire, rounded to cents. */
export function moneyOf(usd: number): WireMoney {
  return { amount: String(Math.round(usd * 100)), currency: "USD" };
}

/** Returns the limit of a budget in US dollars. */
export function dollarsOf({ max_list_cost }: WireBudget): number {
  return Number(max_list_cost.amount) / 100;
}
