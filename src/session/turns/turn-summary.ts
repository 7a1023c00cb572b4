import { z } from "zod";
import type { TurnOrigin } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { TurnEntry, TurnEntryState } from "../../journal/model/turn-entry.ts";
import { nameOfKey, type SessionName } from "../../names.ts";
import { validate } from "../options/validation.ts";
import { smallPartOf } from "../persistence/stored-prompt.ts";
import type { TurnRecord, TurnRequest } from "../streams/turn-record.ts";

/** Which turns of a session to list. */
export interface TurnListOptions {
  /** Only turns in this state, or in one of these. Default: all. */
  readonly state?: TurnEntryState | readonly TurnEntryState[];
  /** Only turns before the one with this id. Default: from the newest on. */
  readonly before?: string | undefined;
  /** How many turns to return at most, up to 1,000. Default 100. */
  readonly limit?: number;
}

/** A turn of a session, in lists. Times are in milliseconds since the epoch. */
export interface TurnSummary {
  readonly id: string;
  readonly state: TurnEntryState;
  readonly origin: TurnOrigin;
  /** Who asked, as given with the option `by`. */
  readonly by?: string;
  /** The caller's own data. */
  readonly metadata?: JsonObject;
  /** The beginning of the prompt, at most 1,000 characters. Empty if Claude Code began the turn by itself. */
  readonly prompt: string;
  /** The id of the prompt in the conversation, in the last attempt; see `Turn.promptId`. */
  readonly promptId?: string;
  /** How often the turn was given to a process. */
  readonly attempts: number;
  readonly acceptedAt: number;
  readonly endedAt?: number;
  /** Of an ended turn, as far as they are known. */
  readonly costUsd?: number;
  readonly model?: string;
  /** Of a pool's turn: the name of the member that has or had it. Left out if no member took it. */
  readonly member?: SessionName;
  /** Why the turn did not complete. */
  readonly error?: { readonly code: string; readonly message: string };
}

const STATES: readonly TurnEntryState[] = [
  "queued",
  "running",
  "completed",
  "failed",
  "interrupted",
  "cancelled",
  "timed_out",
];

/** The longest beginning of a prompt, in characters. */
const PROMPT_BEGINNING = 1_000;

const stateSchema = z.enum(STATES);

const optionsSchema = z.strictObject({
  state: z.union([stateSchema, z.array(stateSchema)]).optional(),
  before: z.string().optional(),
  limit: z.int().min(1).max(1_000).default(100),
});

const outcomeSchema = z.object({
  reply: z.object({ costUsd: z.number().optional(), model: z.string().optional() }).optional(),
  error: z
    .object({ code: z.string(), message: z.string(), details: z.object({ costUsd: z.number().optional() }).catch({}) })
    .optional(),
});

/** {@link TurnListOptions} with their defaults. */
export interface TurnListQuery {
  readonly states: readonly TurnEntryState[] | undefined;
  readonly before: string | undefined;
  readonly limit: number;
}

/** Checks which turns to list. @throws CastellanError `INVALID_OPTIONS` */
export function turnListQuery(options: TurnListOptions): TurnListQuery {
  const { state, before, limit } = validate(optionsSchema, options, "turns");
  return { states: typeof state === "string" ? [state] : state, before, limit };
}

/** Returns the summary of the journal's turn. What is known of it in this process goes first. */
export function summaryOf(entry: TurnEntry, present: TurnRecord | undefined): TurnSummary {
  const { id, origin = "caller", by, metadata, acceptedAt, endedAt, outcome } = entry;
  // A turn that has ended only here continues after the next start.
  const now = present?.left === true ? undefined : present;
  const state = now === undefined || now.state === "accepted" ? entry.state : now.state;
  const { reply, error } = outcomeSchema.safeParse(outcome ?? {}).data ?? {};
  const costUsd = now?.costUsd ?? reply?.costUsd ?? error?.details.costUsd;
  return withoutUndefined({
    id,
    state,
    origin,
    by,
    metadata,
    prompt: beginningOf(now?.prompt ?? smallPartOf(entry).text),
    promptId: now?.promptId ?? entry.promptId,
    // The journal has only the end of a turn that Claude Code began by itself.
    attempts: now?.attempts ?? (origin === "caller" ? entry.attempts : 1),
    acceptedAt,
    endedAt,
    costUsd,
    model: reply?.model,
    error: error && { code: error.code, message: error.message },
  });
}

/** Returns the summary of a turn that the journal has of a pool. `pool` is the canonical name of the pool itself. */
export function summaryOfPool(entry: TurnEntry, pool: string): TurnSummary {
  const summary = summaryOf(entry, undefined);
  return entry.session === pool ? summary : { ...summary, member: nameOfKey(entry.session) };
}

/** Returns the summary of a running turn that Claude Code began by itself. The journal does not have it yet. */
export function summaryOfOwn({ id, origin, acceptedAt }: TurnRecord): TurnSummary {
  return { id, state: "running", origin, prompt: "", attempts: 1, acceptedAt };
}

/** Returns the summary of a job, which waits to become a turn. */
export function summaryOfJob(job: JobEntry, { by, metadata }: Pick<TurnRequest, "by" | "metadata">): TurnSummary {
  const { id, createdAt } = job;
  const { text } = smallPartOf(job);
  const waiting = { id, state: "queued", origin: "caller", prompt: beginningOf(text), attempts: 0 } as const;
  return { ...waiting, acceptedAt: createdAt, ...withoutUndefined({ by, metadata }) };
}

function beginningOf(prompt: string): string {
  const beginning = prompt.slice(0, PROMPT_BEGINNING);
  // The cut may be within a surrogate pair.
  return beginning.isWellFormed() ? beginning : beginning.slice(0, -1);
}
