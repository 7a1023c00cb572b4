import type { Clock, Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { JobEntry } from "../journal/model/job-entry.ts";
import { nameKey } from "../names.ts";
import { type JobOptions, jobSettings, readTerms, termsOf } from "../session/options/job-options.ts";
import { type Prompt, type PromptText, promptText } from "../session/options/prompt.ts";
import type { SessionSettings } from "../session/options/session-settings.ts";
import { jobPrompt } from "../session/persistence/stored-prompt.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { PendingTurn, withdrawnError } from "../session/streams/pending-turn.ts";
import type { TurnRecord } from "../session/streams/turn-record.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import { JobQueue, type WaitingJob } from "./job-queue.ts";
import { isKnownJob, jobLimitError, takenJob } from "./job-turn.ts";
import type { Member } from "./member.ts";
import { PoolRecord, readsOf } from "./pool-record.ts";
import { callsOf } from "./turn-calls.ts";
import type { Borrower } from "./wait-queue.ts";

/** How long the jobs wait when the journal, a budget or the application's balancer stops them. */
const PAUSE_MS = 10_000;

/** What the jobs need of their pool. */
export interface JobPool {
  readonly name: string;
  readonly host: { readonly clock: Clock; readonly newId: () => string; readonly journal: SupervisorJournal };
  /** How many jobs may wait. */
  limit(): number;
  /** The settings that all members share. */
  common(): SessionSettings;
  /** Takes a member back after a job. */
  giveBack(member: Member): void;
  /** Called when a job can run. */
  update(): void;
}

/** What is known of a job by its id. */
interface KnownJob {
  /** Made once a caller reads the job's turn. */
  turn: PendingTurn | undefined;
}

/**
 * The jobs of a pool. A job waits in the journal, under the pool's name. A member that is free takes it: one batch replaces the job by
 * a turn of the member, which from then on is like any durable turn of a session.
 */
export class PoolJobs {
  readonly #pool: JobPool;
  readonly #host: JobPool["host"];
  readonly #key: string;
  /** The pool, for messages. */
  readonly #who: string;
  readonly #queue: JobQueue;
  /** The jobs that wait, and those that a member is taking. */
  readonly #known = new Map<string, KnownJob>();
  /** The last call with an id, so that calls with one key follow each other. */
  readonly #calls = new Map<string, Promise<unknown>>();
  readonly #began: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #record: PoolRecord;
  /** The writes in progress by which jobs come and go. */
  readonly #writing = new Set<Promise<unknown>>();
  #loading: Promise<void> | undefined;
  /** Resolves when the erasure of the pool is over; undefined if there is none. */
  #erasing: Promise<void> | undefined;
  #pause: Timer | undefined;
  #closed: CastellanError | undefined;

  constructor(pool: JobPool) {
    this.#pool = pool;
    this.#host = pool.host;
    this.#key = nameKey(pool.name);
    this.#who = `pool ${JSON.stringify(pool.name)}`;
    this.#queue = new JobQueue(pool.host.clock, () => pool.update());
    this.#began.promise.catch(() => {});
    this.#record = new PoolRecord(this.#key, pool.host);
  }

  /** The number of waiting jobs, including delayed ones. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** The number of jobs that a member can take now. */
  get ready(): number {
    return this.#pause === undefined && this.#erasing === undefined ? this.#queue.ready : 0;
  }

  /** Loads the jobs of earlier applications. The journal is open now. */
  begin(): void {
    this.#began.resolve();
    void this.#load().catch(() => this.#loadLater());
  }

  /** Gives out no more jobs. They stay in the journal. */
  close(reason: CastellanError): void {
    this.#closed ??= reason;
    this.#began.reject(reason);
    this.#pause?.cancel();
    this.#queue.close();
    for (const { turn } of this.#known.values()) turn?.leave(reason);
  }

  /**
   * Accepts a job. Resolves with the id of its turn once the job is in the journal.
   *
   * @throws CastellanError as `Pool.enqueue`
   */
  async enqueue(prompt: Prompt, options: JobOptions): Promise<string> {
    const who = this.#who;
    const settings = jobSettings(options, who);
    const { idempotencyKey: key, delay, verbatimPrompts } = settings;
    const asked = promptText(prompt, verbatimPrompts ?? this.#pool.common().verbatimPrompts, who);
    const id = key === undefined ? this.#host.newId() : keyedTurnId(this.#key, key);
    const earlier = this.#calls.get(id);
    const call = (async () => {
      await earlier?.catch(() => {});
      await this.#load();
      if (key !== undefined && (await this.#isKnown(id, asked))) return id;
      if (this.#closed !== undefined) throw this.#closed;
      this.#refuseIfFull();
      const createdAt = this.#host.clock.now();
      const job: JobEntry = {
        id,
        session: this.#key,
        ...jobPrompt(asked),
        dueAt: createdAt + delay,
        createdAt,
        terms: termsOf(settings),
      };
      while (this.#erasing !== undefined) await this.#erasing;
      await this.#watched(this.#save(job));
      return id;
    })();
    this.#calls.set(id, call);
    const over = (): void => {
      if (this.#calls.get(id) === call) this.#calls.delete(id);
    };
    call.then(over, over);
    return await call;
  }

  /**
   * Removes all jobs from the pool while `work` erases it. Members take no jobs in the meantime, and new ones wait.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; anything that `work` throws: the jobs that are left then wait again
   */
  async erase(work: () => Promise<void>): Promise<void> {
    await this.#load();
    while (this.#erasing !== undefined) await this.#erasing;
    const over = Promise.withResolvers<void>();
    this.#erasing = over.promise;
    try {
      // A job that a member is taking becomes a turn of the member.
      await Promise.allSettled(this.#writing);
      for (const [id, { turn }] of this.#known) {
        this.#queue.remove(id);
        turn?.fail(withdrawnError(this.#pool.name, id));
      }
      this.#known.clear();
      this.#record.erased();
      await work();
    } finally {
      const jobs = await Array.fromAsync(this.#host.journal.jobs(this.#key), waitingOf).catch(() => []);
      for (const job of jobs) this.#add(job);
      this.#erasing = undefined;
      over.resolve();
      this.#pool.update();
    }
  }

  /** Returns the waiting jobs, the newest first, from the one before `before` on. */
  async page(before: string | undefined, limit: number): Promise<JobEntry[]> {
    await this.#load();
    const ids = [...this.#known.keys()].toReversed();
    const from = before === undefined ? 0 : ids.indexOf(before) + 1;
    const { journal } = this.#host.journal;
    const jobs = await Promise.all(ids.slice(from, from + limit).map((id) => journal.job(id)));
    return jobs.filter((job) => job !== undefined);
  }

  /** Whether a job with this id waits. */
  has(id: string): boolean {
    return this.#known.has(id);
  }

  /** Returns the turn of a job that waits or is being taken; undefined for any other id. */
  async turn(id: string): Promise<PendingTurn | undefined> {
    await this.#load();
    if (!this.#known.has(id)) return undefined;
    const { journal } = this.#host.journal;
    const job = await journal.job(id);
    const asked = job === undefined ? ((await journal.turn(id)) ?? {}) : readTerms(job);
    // A member may have taken it in the meantime.
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    known.turn ??= new PendingTurn(id, asked, () => this.#cancel(id), "queued");
    return known.turn;
  }

  /**
   * Gives jobs to members, for as long as there is one.
   *
   * @param pick returns a member for a job. Throws anything that the application's own balancer throws
   * @param lend marks the member as lent
   */
  serve(pick: (job: Borrower) => Member | undefined, lend: (member: Member, job: Borrower) => void): void {
    for (let job = this.#queue.first; job !== undefined && this.ready > 0; job = this.#queue.first) {
      const borrower: Borrower = { id: job.id, wants: "job", key: job.id };
      try {
        const member = pick(borrower);
        if (member === undefined) return;
        if (this.#isSpent(member)) this.#wait();
        else {
          this.#queue.take();
          lend(member, borrower);
          void this.#run(job, member);
        }
      } catch {
        this.#wait();
      }
    }
  }

  /** Whether a budget of the member or of the supervisor is used up. */
  #isSpent({ server: { budget } }: Member): boolean {
    return this.#host.journal.refusal !== undefined || (budget !== undefined && budget.spentUsd >= budget.limitUsd);
  }

  /** Lets all jobs wait for a moment. */
  #wait(): void {
    const over = (): void => {
      this.#pause = undefined;
      this.#pool.update();
    };
    this.#pause ??= this.#host.clock.schedule(PAUSE_MS, over, { background: true });
  }

  /** Runs a job on a member. */
  async #run(job: WaitingJob, member: Member): Promise<void> {
    const record = await this.#watched(this.#give(job, member));
    if (record !== undefined) {
      await record.result.catch(() => {});
      // The next life of the member continues it.
      if (record.left) member.owes = true;
    }
    this.#pool.giveBack(member);
  }

  async #give(job: WaitingJob, member: Member): Promise<TurnRecord | undefined> {
    const record = await this.#hand(job, member).catch((error: unknown) => {
      if (this.#closed === undefined) this.#setAside(job, error);
      return undefined;
    });
    if (record === undefined) return undefined;
    const { turn } = this.#known.get(job.id) ?? {};
    this.#known.delete(job.id);
    turn?.assign(record, callsOf(member.server, record));
    return record;
  }

  /** Has an erasure wait for this write. */
  async #watched<Result>(write: Promise<Result>): Promise<Result> {
    this.#writing.add(write);
    try {
      return await write;
    } finally {
      this.#writing.delete(write);
    }
  }

  /** Replaces a job by a turn of the member. Resolves with undefined if the job is gone. */
  async #hand({ id }: WaitingJob, { server, settings }: Member): Promise<TurnRecord | undefined> {
    const { journal, clock } = this.#host;
    const job = await journal.journal.job(id);
    if (job === undefined) {
      this.#known.delete(id);
      return undefined;
    }
    const { turn, prompt, changes } = takenJob(job, server.settings.key, settings.timeout, clock.now());
    await journal.writer?.record(changes, { durable: true, session: turn.session });
    return server.take({ ...turn, state: "queued", attempts: 0, touched: false }, prompt);
  }

  /** Handles that a job could not be taken: it waits, unless it is damaged. */
  #setAside(job: WaitingJob, error: unknown): void {
    const isDamaged =
      CastellanError.is(error, "JOURNAL_UNAVAILABLE") && ["damaged", "refused"].includes(error.details.reason);
    if (!isDamaged) {
      this.#queue.putBack(job);
      this.#wait();
      return;
    }
    this.#known.get(job.id)?.turn?.fail(error);
    this.#known.delete(job.id);
    const message = `${this.#who}: the job ${job.id} cannot run: ${error.message}`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
  }

  /**
   * Cancels a job that no member has taken. Its outcome stays in the journal, for its key.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; the job then waits as before
   */
  async #cancel(id: string): Promise<void> {
    const known = this.#known.get(id);
    const job = known === undefined ? undefined : this.#queue.remove(id);
    if (known === undefined || job === undefined) return;
    const error = withdrawnError(this.#pool.name, id);
    try {
      await this.#watched(this.#drop(id, error));
    } catch (thrown) {
      // Unless the pool was erased or closed in the meantime.
      if (this.#known.get(id) === known && this.#closed === undefined) this.#queue.restore(job);
      this.#pool.update();
      throw thrown;
    }
    this.#known.delete(id);
    known.turn?.fail(error, readsOf(this.#key, this.#host));
  }

  async #drop(id: string, error: CastellanError): Promise<void> {
    const job = await this.#host.journal.journal.job(id);
    if (job !== undefined) await this.#record.cancelled(job, error);
  }

  async #save(job: JobEntry): Promise<void> {
    const { writer } = this.#host.journal;
    try {
      await writer?.write([{ type: "job_saved", job }], { durable: true, session: this.#key });
    } catch (error) {
      // The journal may have it regardless.
      if (CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.applied !== false) {
        writer?.note([{ type: "job_dropped", job: job.id }], { session: this.#key });
      }
      throw error;
    }
    this.#add(waitingOf(job));
    this.#pool.update();
  }

  async #isKnown(id: string, asked: PromptText): Promise<boolean> {
    const { journal, writer } = this.#host.journal;
    await writer?.settled();
    return await isKnownJob(journal, id, asked, this.#who);
  }

  #refuseIfFull(): void {
    const limit = this.#pool.limit();
    if (this.#queue.length >= limit) throw jobLimitError(this.#who, limit);
  }

  /** Resolves once the jobs of earlier applications are known. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  #load(): Promise<void> {
    this.#loading ??= this.#read().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #read(): Promise<void> {
    await this.#began.promise;
    const jobs = await Array.fromAsync(this.#host.journal.jobs(this.#key), waitingOf);
    for (const job of jobs) this.#add(job);
    if (jobs.length > 0) this.#pool.update();
  }

  #loadLater(): void {
    if (this.#closed !== undefined) return;
    const again = (): void => void this.#load().catch(() => this.#loadLater());
    this.#host.clock.schedule(PAUSE_MS, again, { background: true });
  }

  #add(job: WaitingJob): void {
    this.#known.set(job.id, { turn: undefined });
    this.#queue.add(job);
  }
}

function waitingOf(job: JobEntry): WaitingJob {
  return { id: job.id, priority: readTerms(job).priority, dueAt: job.dueAt };
}
