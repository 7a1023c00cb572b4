import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import type { PoolStatus } from "./pool-status.ts";

/**
 * Returns the error of a caller that got no member.
 *
 * @param refusal why the last unusable member takes no turns
 * @param timeoutMs how long the caller has waited
 */
export function exhaustedError(
  { name, size, lent }: Pick<PoolStatus, "name" | "size" | "lent">,
  reason: string,
  waiting: number,
  timeoutMs: number,
  refusal: CastellanError | undefined,
): CastellanError<"POOL_EXHAUSTED"> {
  const cause = size === 0 ? refusal : undefined;
  const why = cause === undefined ? reason : "and the others are quarantined or stopped";
  const waited = timeoutMs > 0 ? ` within ${formatDuration(timeoutMs)}` : "";
  const message = `pool ${JSON.stringify(name)} has no free member${waited}: ${lent} of ${size} are lent, ${why}. Raise its \`max\`, or retry later.`;
  return new CastellanError("POOL_EXHAUSTED", message, {
    details: { pool: name, size, lent, waiting, timeoutMs },
    cause,
  });
}
