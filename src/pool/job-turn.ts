import { isDeepStrictEqual } from "node:util";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import type { Change } from "../journal/model/change.ts";
import type { JobEntry } from "../journal/model/job-entry.ts";
import type { Journal } from "../journal/model/journal.ts";
import type { AcceptedTurn } from "../journal/model/turn-entry.ts";
import { readTerms } from "../session/options/job-options.ts";
import type { PromptText } from "../session/options/prompt.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { heldPrompt, isOf, promptOfJob, storedPrompt } from "../session/persistence/stored-prompt.ts";
import { UNLIMITED_MS } from "../session/streams/turn-record.ts";

/** The turn that replaces a job. */
export interface JobTurn {
  readonly turn: AcceptedTurn;
  readonly prompt: PromptText;
  /** Replace the job by the turn. */
  readonly changes: readonly Change[];
}

/**
 * Returns the turn of a job that a member takes.
 *
 * @param session the key of the member
 * @param usualMs the timeout of the member
 */
export function takenJob(job: JobEntry, session: string, usualMs: number | undefined, now: number): JobTurn {
  const { timeoutMs = usualMs, by, metadata } = readTerms(job);
  const own = withoutUndefined({ timeoutMs, by, metadata });
  return replacing(job, { session, queueTimeoutMs: UNLIMITED_MS, acceptedAt: now, ...own });
}

/** Returns the turn of a job that is cancelled: one of the pool itself, which has yet to end. */
export function cancelledJob(job: JobEntry): JobTurn {
  const { session, createdAt: acceptedAt } = job;
  const { by, metadata } = readTerms(job);
  return replacing(job, { session, acceptedAt, ...withoutUndefined({ by, metadata }) });
}

function replacing(job: JobEntry, own: Pick<AcceptedTurn, "session" | "acceptedAt"> & Partial<AcceptedTurn>): JobTurn {
  const { id } = job;
  const prompt = promptOfJob(job);
  const { row, contents } = storedPrompt(heldPrompt(prompt));
  const turn: AcceptedTurn = { id, ...row, position: 0, durable: true, ...own };
  const changes: Change[] = [
    { type: "job_dropped", job: id },
    { type: "turn_accepted", turn, ...(contents.length > 0 && { contents }) },
  ];
  return { turn, prompt, changes };
}

/**
 * Whether a job, or a turn of one, has this id.
 *
 * @throws CastellanError `INVALID_OPTIONS` if its prompt differs; `JOURNAL_UNAVAILABLE`
 */
export async function isKnownJob(journal: Journal, id: string, asked: PromptText, who: string): Promise<boolean> {
  // In this order: a member may take the job in between.
  const job = await journal.job(id);
  const turn = job === undefined ? await journal.turn(id) : undefined;
  if (job === undefined && turn === undefined) return false;
  if (
    job !== undefined ? isDeepStrictEqual(promptOfJob(job), asked) : turn !== undefined && isOf(turn, heldPrompt(asked))
  )
    return true;
  const message = "is the key of another job with a different prompt; use one key per job";
  throw invalidOptions(`job of ${who}`, [{ field: "idempotencyKey", message }]);
}

/** Returns the error of a job for which there is no room. */
export function jobLimitError(who: string, limit: number): CastellanError<"MAILBOX_FULL"> {
  const message = `${who} has ${limit} jobs waiting, which is its \`jobLimit\`; try again later.`;
  return new CastellanError("MAILBOX_FULL", message, { details: { limit } });
}
