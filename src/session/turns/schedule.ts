import { Cron } from "croner";
import { z } from "zod";
import { type Duration, parseDuration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { TurnOptions } from "../options/turn-options.ts";
import { invalidOptions } from "../options/validation.ts";
import { promptOfJob } from "../persistence/stored-prompt.ts";

/** When a prompt is to run later, or again and again. */
export interface ScheduleOptions {
  /** When the prompt runs, or runs first: a date, or milliseconds since the epoch. A time in the past is now. */
  runAt?: Date | number;
  /**
   * How often the prompt runs: a duration of at least a second, or a cron expression such as `"0 9 * * 1-5"`, with five fields,
   * or six with seconds in front.
   */
  every?: Duration;
  /** The time zone of a cron expression, such as `"Europe/Berlin"`. Default: that of the application. */
  timezone?: string;
}

/** Options of {@link Session.enqueue}. */
export interface EnqueueOptions<Structured = unknown> extends TurnOptions<Structured>, ScheduleOptions {}

/** A prompt that runs later. Times are in milliseconds since the epoch. */
export interface Schedule {
  /** For {@link Session.cancelSchedule}. Without `every`, also the id of its turn. */
  readonly id: string;
  readonly prompt: string;
  /** When it runs next. */
  readonly nextAt: number;
  /** In milliseconds, or a cron expression; left out if it runs once. */
  readonly every?: number | string;
  readonly timezone?: string;
  /** Who asked for it, which its turns repeat. */
  readonly by?: string;
  /** The caller's own data, which its turns get. */
  readonly metadata?: JsonObject;
  readonly createdAt: number;
}

/** When a schedule repeats. */
export interface Rule {
  /** In milliseconds, or a cron expression. */
  readonly every: number | string;
  readonly timezone?: string | undefined;
}

const SHORTEST_MS = 1_000;

/** The latest date of JavaScript, in milliseconds since the epoch. */
const LATEST = 8.64e15;

/** Whether a turn is to run later. */
export function isScheduled({ runAt, every, timezone }: ScheduleOptions): boolean {
  return runAt !== undefined || every !== undefined || timezone !== undefined;
}

/** Refuses options that a prompt cannot have that runs later. @throws CastellanError `INVALID_OPTIONS` */
export function refuseUnscheduled(options: TurnOptions, what: string): void {
  const problems = (["signal", "outputSchema", "whenBusy"] as const).filter((name) => options[name] !== undefined);
  if (problems.length === 0) return;
  const message = "cannot be combined with `runAt` and `every`";
  throw invalidOptions(
    what,
    problems.map((field) => ({ field, message })),
  );
}

/**
 * Checks when a prompt is to run.
 *
 * @param now in milliseconds since the epoch
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function scheduleOf(
  { runAt, every, timezone }: ScheduleOptions,
  now: number,
  what: string,
): { readonly dueAt: number; readonly rule: Rule | undefined } {
  const refuse = (field: string, message: string): never => {
    throw invalidOptions(what, [{ field, message }]);
  };
  const at = runAt instanceof Date ? runAt.getTime() : runAt;
  if (at !== undefined && (typeof at !== "number" || !Number.isFinite(at) || Math.abs(at) > LATEST)) {
    refuse("runAt", "expected a valid date, or milliseconds since the epoch");
  }
  if (every === undefined) {
    if (timezone !== undefined) refuse("timezone", "has a meaning only with a cron expression in `every`");
    return { dueAt: at ?? now, rule: undefined };
  }
  const ms = parseDuration(every);
  if (ms !== undefined) {
    if (ms < SHORTEST_MS) refuse("every", `expected at least ${SHORTEST_MS} milliseconds`);
    if (timezone !== undefined) refuse("timezone", "has a meaning only with a cron expression in `every`");
    return { dueAt: at ?? now + ms, rule: { every: ms } };
  }
  if (typeof every !== "string") return refuse("every", "expected a duration or a cron expression");
  if (timezone !== undefined && !isTimezone(timezone)) refuse("timezone", "is not the name of a time zone");
  const rule: Rule = { every, ...withoutUndefined({ timezone }) };
  let first: number | undefined;
  try {
    // A run at `runAt` itself counts.
    first = nextRun(rule, Math.max(now, (at ?? now) - 1));
  } catch (error) {
    refuse("every", `is neither a duration nor a cron expression: ${error instanceof Error ? error.message : error}`);
  }
  return { dueAt: first ?? refuse("every", "never runs"), rule };
}

/**
 * Returns when a schedule runs next after `after`, in milliseconds since the epoch; undefined if never. Of runs that a change
 * to summer time skips, one takes place after the change; a run in the repeated hour takes place once.
 *
 * @throws Error if the cron expression is invalid
 */
export function nextRun({ every, timezone }: Rule, after: number): number | undefined {
  if (typeof every === "number") return after + every;
  const [fields] = [every.trim().split(/\s+/).length];
  if (fields !== 5 && fields !== 6) throw new Error(`it has ${fields} fields; expected five or six`);
  const cron = new Cron(every, { paused: true, ...withoutUndefined({ timezone }) });
  return cron.nextRun(new Date(after))?.getTime();
}

/**
 * Returns when a schedule runs again, after a run that was due at `dueAt` and takes place now. Missed runs are not made up for, so the
 * next run is in the future; intervals keep their beat.
 */
export function nextAfter(rule: Rule, dueAt: number, now: number): number | undefined {
  const { every } = rule;
  if (typeof every === "string") return nextRun(rule, Math.max(now, dueAt));
  if (dueAt > now) return now + every;
  return dueAt + (Math.floor((now - dueAt) / every) + 1) * every;
}

/** What the journal keeps of a schedule's options. */
export interface ScheduleTerms {
  readonly every?: number | string | undefined;
  readonly timezone?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

const termsSchema: z.ZodType<ScheduleTerms> = z.object({
  every: z.union([z.number(), z.string()]).optional(),
  timezone: z.string().optional(),
  timeoutMs: z.number().optional(),
  queueTimeoutMs: z.number().optional(),
  by: z.string().optional(),
  metadata: z.record(z.string(), z.json()).optional(),
});

/** Reads the options of a schedule from the journal. Terms of another release that do not fit are left out. */
export function readTerms({ terms }: JobEntry): ScheduleTerms {
  return termsSchema.safeParse(terms).data ?? {};
}

/** Returns the rule of a schedule, if it repeats. */
export function ruleOf({ every, timezone }: ScheduleTerms): Rule | undefined {
  return every === undefined ? undefined : { every, ...withoutUndefined({ timezone }) };
}

/** Returns a schedule as callers see it. */
export function shownSchedule(job: JobEntry): Schedule {
  const { id, dueAt: nextAt, createdAt } = job;
  const { text: prompt } = promptOfJob(job);
  const { every, timezone, by, metadata } = readTerms(job);
  return { id, prompt, nextAt, createdAt, ...withoutUndefined({ every, timezone, by, metadata }) };
}

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}
