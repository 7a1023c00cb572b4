import type { CastellanClient } from "../../client/index.ts";
import type { UsageQuery, UsageReport } from "../../wire/usage.ts";

/** Reads what was spent: by the supervisor's own sessions, and with `global` also by those of its cluster. */
export async function readUsage(
  client: Pick<CastellanClient, "usage">,
  query: UsageQuery,
  global: boolean,
  signal: AbortSignal,
): Promise<readonly UsageReport[]> {
  const own = client.usage(query, { signal });
  if (!global) return await own;
  return (await Promise.all([own, client.usage({ ...query, global: true }, { signal })])).flat();
}
