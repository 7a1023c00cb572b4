import { withoutUndefined } from "../../fields.ts";
import type { UsageOptions, UsageReport } from "../../session/persistence/usage.ts";
import type { UsageAnswer, UsageQuery } from "../../wire/usage.ts";
import type { ShowName } from "./shown-name.ts";

/** Returns a query as the library takes it. */
export function usageOptions(query: UsageQuery): UsageOptions {
  return withoutUndefined(query);
}

/** Returns reports as the API shows them. */
export function shownUsage(reports: readonly UsageReport[], show: ShowName): UsageAnswer {
  return {
    reports: reports.map(({ session, ...rest }) => ({
      ...rest,
      ...(session !== undefined && { session: show(session) }),
    })),
  };
}
