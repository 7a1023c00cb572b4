import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import type { JobEntry } from "../journal/model/job-entry.ts";
import type { JsonObject } from "../journal/model/session-entry.ts";
import type { TurnEntry } from "../journal/model/turn-entry.ts";
import { type JobOptions, jobSettings, readTerms, termsOf } from "../session/options/job-options.ts";
import { type Prompt, promptText } from "../session/options/prompt.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { jobPrompt } from "../session/persistence/stored-prompt.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { withdrawnError } from "../session/streams/pending-turn.ts";
import { outcomeOf } from "../session/streams/turn-end.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import {
  summaryOfJob,
  summaryOfPool,
  type TurnListOptions,
  type TurnSummary,
  turnListQuery,
} from "../session/turns/turn-summary.ts";
import { cancelledJob, isKnownJob, jobLimitError } from "./job-turn.ts";

/** What the jobs need of a node that has their pool. */
export interface SharedJobsDeps {
  /** The name of the pool. */
  readonly name: string;
  /** Its canonical name in the cluster. */
  readonly key: string;
  readonly clock: Clock;
  readonly newId: () => string;
  /** The journal that all nodes share. */
  readonly journal: SupervisorJournal;
  /** Whether prompts are literal, unless a job says otherwise. */
  verbatimPrompts(): boolean;
  /** How many jobs may wait. */
  limit(): number;
  /** Returns the number of waiting jobs. */
  count(): Promise<number>;
  /** Returns the keys of all members that there are, or were. */
  memberKeys(): Promise<readonly string[]>;
  /** Called when there is another job. */
  added(): void;
}

/** Where a job is. */
export type FoundJob =
  | { readonly type: "waiting"; readonly by?: string; readonly metadata?: JsonObject }
  /** It is a turn of this session: of a member, or of the pool itself if it was cancelled. */
  | { readonly type: "turn"; readonly session: string };

/**
 * The jobs of a pool whose members are on several nodes, as one of these nodes sees them. They wait in the database, where any
 * node accepts, finds, lists and cancels them. A turn's id is unique there, and a job's turn has the id of the job: of several
 * nodes that take or cancel a job at once, one succeeds.
 */
export class SharedJobs {
  readonly #deps: SharedJobsDeps;
  readonly #who: string;

  constructor(deps: SharedJobsDeps) {
    this.#deps = deps;
    this.#who = `pool ${JSON.stringify(deps.name)}`;
  }

  /** Accepts a job. Resolves with the id of its turn once the job is in the database. @throws CastellanError as `Pool.enqueue` */
  async enqueue(prompt: Prompt, options: JobOptions): Promise<string> {
    const { key, clock, newId, journal, added, limit, count, verbatimPrompts: usual } = this.#deps;
    const settings = jobSettings(options, this.#who);
    const { idempotencyKey, delay, verbatimPrompts = usual() } = settings;
    const asked = promptText(prompt, verbatimPrompts, this.#who);
    const id = idempotencyKey === undefined ? newId() : keyedTurnId(key, idempotencyKey);
    if (idempotencyKey !== undefined && (await isKnownJob(journal.journal, id, asked, this.#who))) return id;
    if ((await count()) >= limit()) throw jobLimitError(this.#who, limit());
    const createdAt = clock.now();
    const dueAt = createdAt + delay;
    const job: JobEntry = { id, session: key, ...jobPrompt(asked), dueAt, createdAt, terms: termsOf(settings) };
    await this.#add(job);
    // Another node may have accepted a job with this key at the same time.
    if (idempotencyKey !== undefined) await isKnownJob(journal.journal, id, asked, this.#who);
    added();
    return id;
  }

  /** Returns where a job is; undefined if the pool has no job and no turn with this id. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async find(id: string): Promise<FoundJob | undefined> {
    const { key, journal } = this.#deps;
    // In this order: a member may take the job in between.
    const job = await journal.journal.job(id);
    if (job?.session === key) {
      const { by, metadata } = readTerms(job);
      return { type: "waiting", ...withoutUndefined({ by, metadata }) };
    }
    const turn = await journal.journal.turn(id);
    return turn !== undefined && this.#isOwn(turn) ? { type: "turn", session: turn.session } : undefined;
  }

  /** Returns a job that was cancelled before a member took it. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async cancelled(id: string): Promise<TurnEntry | undefined> {
    const { key, journal } = this.#deps;
    const turn = await journal.journal.turn(id);
    return turn?.session === key ? turn : undefined;
  }

  /**
   * Cancels a job unless a member has taken it. The turn comes first and ends only if it is the pool's: otherwise a member has
   * been faster, and the turn is the member's.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async cancel(id: string): Promise<void> {
    const { key, journal } = this.#deps;
    const job = await journal.journal.job(id);
    if (job?.session !== key) return;
    const { changes } = cancelledJob(job);
    await journal.writer?.record(changes, { durable: true, session: key });
    await this.#endIfCancelled(id);
  }

  /** Ends the turns of cancelled jobs whose node was lost during the cancellation. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async endCancelled(): Promise<void> {
    const { key, journal } = this.#deps;
    for (const { id } of await journal.journal.unfinishedTurns([key])) await this.#endIfCancelled(id);
  }

  /** Returns a page of the jobs and their turns, the newest first. @throws CastellanError as `Pool.turns` */
  async page(options: TurnListOptions): Promise<TurnSummary[]> {
    const { states, before, limit } = turnListQuery(options);
    const { key, journal, memberKeys } = this.#deps;
    const isJob = before !== undefined && (await journal.journal.job(before))?.session === key;
    const isAfterJobs = before !== undefined && !isJob;
    const page: TurnSummary[] = [];
    if (!isAfterJobs && (states?.includes("queued") ?? true)) {
      const waiting: TurnSummary[] = [];
      for await (const job of journal.journal.jobs(key)) {
        if (job.id === before) break;
        waiting.push(summaryOfJob(job, readTerms(job)));
        // Only the newest are shown.
        if (waiting.length > 2 * limit) waiting.splice(0, waiting.length - limit);
      }
      page.push(...waiting.toReversed().slice(0, limit));
    }
    if (page.length === limit) return page;
    const entries = await journal.journal.turns({
      session: [key, ...(await memberKeys())],
      ...(states !== undefined && { states }),
      ...(isAfterJobs && { before }),
      limit: limit - page.length,
    });
    // A member may have taken a job during the reads.
    const listed = new Set(page.map(({ id }) => id));
    page.push(...entries.filter(({ id }) => !listed.has(id)).map((entry) => summaryOfPool(entry, key)));
    if (page.length === 0 && isAfterJobs && (await journal.journal.turn(before)) === undefined) {
      const message = "is not the id of a turn that the journal keeps of this pool; begin again with the newest turns";
      throw invalidOptions(`turns of ${this.#who}`, [{ field: "before", message }]);
    }
    return page;
  }

  async #add(job: JobEntry): Promise<void> {
    const { key, journal } = this.#deps;
    try {
      await journal.writer?.write([{ type: "job_added", job }], { durable: true, session: key });
    } catch (error) {
      // A job without a key of the caller's own cannot be asked again, so it must not run.
      if (CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.applied !== false) {
        journal.writer?.note([{ type: "job_dropped", job: job.id }], { session: key });
      }
      throw error;
    }
  }

  async #endIfCancelled(id: string): Promise<void> {
    const { name, key, clock, journal } = this.#deps;
    const turn = await journal.journal.turn(id);
    if (turn?.session !== key || turn.state !== "queued") return;
    const outcome = outcomeOf({ error: withdrawnError(name, id) });
    const at = clock.now();
    await journal.writer?.record([{ type: "turn_ended", turn: id, state: "cancelled", at, outcome }], {
      durable: true,
      session: key,
    });
  }

  #isOwn({ session }: TurnEntry): boolean {
    const { key } = this.#deps;
    return session === key || session.startsWith(`${key.slice(0, -1)},`);
  }
}
