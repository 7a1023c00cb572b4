import { withoutUndefined } from "../../fields.ts";
import type { UsageOptions, UsageReport } from "../../session/persistence/usage.ts";
import type { UsageAnswer, UsageQuery } from "../../wire/usage.ts";
import type { ShowName } from "./shown-name.ts";

/** Returns a query as the library takes it. */
export function usageOptions(query: UsageQuery): UsageOptions {
  return withoutUndefined(query);
}

/** A report, possibly of a node of an earlier release, which does not count turns. */
type AnyReport = Omit<UsageReport, "turns"> & Partial<Pick<UsageReport, "turns">>;

/** Returns reports as the API shows them. */
export function shownUsage(reports: readonly AnyReport[], show: ShowName): UsageAnswer {
  return {
    reports: reports.map(({ session, turns = 0, ...rest }) => ({
      ...rest,
      turns,
      ...(session !== undefined && { session: show(session) }),
    })),
  };
}
