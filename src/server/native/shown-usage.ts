import type { UsageReport } from "../../session/persistence/usage.ts";
import type { UsageAnswer } from "../../wire/usage.ts";
import type { ShowName } from "./shown-name.ts";

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
