import { type Backoff, backoffDelay } from "../supervision/backoff.ts";
import type { PostResult } from "./webhook-connection.ts";

/**
 * What a request's result means. `delivered`: the receiver has the event. `gone`: it wants no more. `unreachable`: it takes
 * nothing at present, whatever is sent. `rejected`: it did not take this event.
 */
export type Fate =
  | { readonly name: "delivered"; readonly status: number }
  | { readonly name: "gone"; readonly status: number }
  | (Failure & { readonly name: "unreachable" | "rejected" });

/** Why the receiver did not take an event. */
interface Failure {
  readonly status?: number;
  readonly problem: string;
  /** How long the receiver asks to wait, in milliseconds. */
  readonly waitMs: number;
}

/** The delays between attempts, in milliseconds. */
const RETRY: Backoff = { base: 5_000, factor: 3, max: 3_600_000, jitter: 0.2 };

/** Statuses by which a server says that it takes nothing at present. */
const BUSY: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

export function fateOf(result: PostResult): Fate {
  if ("problem" in result) return { name: "unreachable", problem: result.problem, waitMs: 0 };
  const { status, retryAfter } = result;
  if (status >= 200 && status < 300) return { name: "delivered", status };
  if (status === 410) return { name: "gone", status };
  const name = BUSY.has(status) ? "unreachable" : "rejected";
  return { name, status, problem: `it answered ${status}`, waitMs: waitOf(retryAfter) };
}

/** Returns the delay before the next attempt after `failures` failures in a row, from 1. */
export function retryDelay(failures: number, waitMs: number, random: () => number): number {
  return Math.max(backoffDelay(failures + 1, RETRY, random), waitMs);
}

/** Reads `Retry-After` in seconds. A date is for browsers. */
function waitOf(retryAfter: string | undefined): number {
  const seconds = /^\d{1,9}$/.test(retryAfter ?? "") ? Number(retryAfter) : 0;
  return Math.min(seconds * 1_000, RETRY.max);
}
