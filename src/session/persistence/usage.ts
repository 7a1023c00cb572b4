import { z } from "zod";
import { withoutUndefined } from "../../fields.ts";
import type { Spending } from "../../journal/model/spending.ts";
import type { UsageEntry, UsageQuery } from "../../journal/model/usage-entry.ts";
import { nameKey, nameOfKey, type SessionName } from "../../names.ts";
import { nameSchema, validate } from "../options/validation.ts";

/** Selects spending of a session. */
export interface SessionUsageOptions {
  /** The first and the last day, inclusive, in UTC, such as `"2026-11-24"`. Default: all days. */
  readonly since?: string;
  readonly until?: string;
  /** The dimensions to report by, alone or combined: session, model, day. Default: a single total. */
  readonly by?: readonly ("session" | "model" | "day")[];
  /** Reports also by the value of this label, as the sessions have it now; see the option `labels`. */
  readonly label?: string;
}

/** Selects spending of a supervisor's sessions. */
export interface UsageOptions extends SessionUsageOptions {
  /** Only what this session has spent. Default: all sessions. */
  readonly session?: SessionName;
  /**
   * On a node: reports the spending of the cluster's global sessions under supervisors of this name, on
   * all nodes, in place of the supervisor's own. Default `false`.
   */
  readonly global?: boolean;
}

/** What was spent, as Claude Code estimates it. Not a bill. */
export interface UsageReport extends Spending {
  readonly session?: SessionName;
  readonly model?: string;
  /** The value of the label. Left out for sessions without it, and for erased ones. */
  readonly label?: string;
  /** In UTC. */
  readonly day?: string;
  /**
   * The number of turns that have spent. A turn with several models counts for the one that cost most, and one whose try a restart
   * of the application cut short counts again.
   */
  readonly turns: number;
}

const day = z.iso.date('expected a day such as "2026-11-24"');

const sessionSchema = z.strictObject({
  since: day.optional(),
  until: day.optional(),
  by: z.array(z.enum(["session", "model", "day"])).optional(),
  label: z.string().optional(),
});

const schema = sessionSchema.extend({ session: nameSchema.optional(), global: z.boolean().optional() });

/** Checks the options. @throws CastellanError `INVALID_OPTIONS` */
export function usageQuery(options: UsageOptions): UsageQuery {
  const { session, global: _, by = [], ...period } = validate(schema, options, "usage");
  return withoutUndefined({ session: session && nameKey(session), by, ...period });
}

/** Checks the options of one session. @throws CastellanError `INVALID_OPTIONS` */
export function sessionUsageQuery(options: SessionUsageOptions): UsageQuery {
  const { by = [], ...period } = validate(sessionSchema, options, "usage");
  return withoutUndefined({ by, ...period });
}

/** Converts the entries to reports, by day, then by descending cost. */
export function usageReports(entries: readonly UsageEntry[]): UsageReport[] {
  const reports = entries.map(({ session, supervisor: _, ...rest }) =>
    session === undefined ? rest : { ...rest, session: nameOfKey(session) },
  );
  return reports.toSorted((one, other) => compare(one.day, other.day) || other.costUsd - one.costUsd);
}

function compare(one = "", other = ""): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
