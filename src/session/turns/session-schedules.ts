import type { Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Change } from "../../journal/model/change.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { AcceptedTurn } from "../../journal/model/turn-entry.ts";
import { SparseMap } from "../../sparse-map.ts";
import type { SessionContext } from "../context/session-context.ts";
import { type Prompt, type PromptText, promptText } from "../options/prompt.ts";
import { turnSettings } from "../options/turn-options.ts";
import { invalidOptions } from "../options/validation.ts";
import { heldPrompt, isOf, jobPrompt, promptOfJob, storedPrompt } from "../persistence/stored-prompt.ts";
import type { Intake } from "./intake.ts";
import {
  type EnqueueOptions,
  nextAfter,
  readTerms,
  refuseUnscheduled,
  ruleOf,
  type Schedule,
  type ScheduleTerms,
  scheduleOf,
  shownSchedule,
} from "./schedule.ts";
import { keyedTurnId } from "./turn-id.ts";

/** How many schedules a session can have. */
const MOST = 1_000;

/** How often the wall clock is read, which may be set, or stop while the machine is suspended. */
const CHECK_MS = 30_000;

/** The delay of a run that the session cannot accept now. */
const RETRY_MS = 60_000;

/** How long before its next run a session stays in memory. Whoever brings it back looks more often. */
const SOON_MS = 120_000;

/** Whose money a run spends. */
interface Spender {
  /** Returns why it may not spend more, or undefined. */
  overBudget(): CastellanError | undefined;
}

/**
 * The prompts of a session that run later. They are jobs in the journal. At its time, one batch adds the turn and removes the job, or
 * moves it to its next run, so that each run takes place once.
 */
export class SessionSchedules {
  readonly #context: SessionContext;
  readonly #intake: Intake;
  readonly #spender: Spender;
  readonly #jobs = new SparseMap<string, JobEntry>();
  /** The last turn of each repeating schedule. */
  readonly #last = new SparseMap<string, string>();
  /** Resolves once the last change is written, if one is pending: changes follow each other. */
  #changing: Promise<unknown> | undefined;
  #timer: Timer | undefined;
  /** No run takes place before this time on the monotonic clock. */
  #notBefore = 0;
  #closed = false;

  constructor(context: SessionContext, intake: Intake, spender: Spender) {
    this.#context = context;
    this.#intake = intake;
    this.#spender = spender;
  }

  /** Whether a run is due soon, so that the session should stay in memory. */
  get isSoon(): boolean {
    const next = this.#next;
    return next !== undefined && next.dueAt - this.#context.clock.now() < SOON_MS;
  }

  /** Takes the schedules from the journal. */
  restore(jobs: readonly JobEntry[]): void {
    for (const job of jobs) this.#jobs.set(job.id, job);
    this.#watch();
  }

  /** Runs nothing any more. The schedules stay in the journal. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Adds a schedule. Resolves with its id once it is in the journal. @throws CastellanError as `Session.enqueue` */
  async add(prompt: Prompt, { runAt, every, timezone, ...options }: EnqueueOptions): Promise<string> {
    const { who, clock, newId, settings: session } = this.#context;
    const settings = turnSettings(options, session);
    const what = `schedule of ${who}`;
    refuseUnscheduled(options, what);
    const asked = promptText(prompt, settings.verbatimPrompts, who);
    const row = jobPrompt(asked);
    const { dueAt, rule } = scheduleOf(withoutUndefined({ runAt, every, timezone }), clock.now(), what);
    const { idempotencyKey: key, by, metadata, timeoutMs, queueTimeoutMs } = settings;
    const id = key === undefined ? newId() : keyedTurnId(session.key, key);
    const terms: ScheduleTerms = withoutUndefined({
      ...rule,
      timeoutMs,
      queueTimeoutMs: Number.isFinite(queueTimeoutMs) ? queueTimeoutMs : undefined,
      by,
      metadata,
    });
    await this.#intake.ready;
    return await this.#change(async () => {
      const present = this.#jobs.get(id);
      const isSame = present?.prompt === row.prompt && present.promptKind === row.promptKind;
      if (present !== undefined && rule === undefined && !isSame) throw this.#otherPrompt(what);
      if (present !== undefined && rule === undefined) return id;
      if (key !== undefined && present === undefined && rule === undefined && (await this.#hasRun(id, asked, what))) {
        return id;
      }
      if (present === undefined && this.#jobs.size >= MOST) {
        const message = `${who} has ${MOST} schedules; cancel some of them.`;
        throw new CastellanError("MAILBOX_FULL", message, { details: { limit: MOST } });
      }
      const isSameRule = present !== undefined && sameRule(readTerms(present), terms) && runAt === undefined;
      const job: JobEntry = {
        id,
        session: session.key,
        ...row,
        dueAt: isSameRule ? present.dueAt : dueAt,
        createdAt: present?.createdAt ?? clock.now(),
        terms: withoutUndefined({ ...terms }),
      };
      await this.#context.journal.saveJob(job);
      this.#jobs.set(id, job);
      this.#watch();
      return id;
    });
  }

  /** Returns the schedules, the next first. */
  async list(): Promise<Schedule[]> {
    await this.#intake.ready;
    return [...this.#jobs.values()].map(shownSchedule).toSorted((one, other) => one.nextAt - other.nextAt);
  }

  /** Cancels a schedule. Resolves with whether there was one. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async cancel(id: string): Promise<boolean> {
    await this.#intake.ready;
    return await this.#change(async () => {
      if (!this.#jobs.has(id)) return false;
      await this.#context.journal.dropJob(id);
      this.#forget(id);
      this.#watch();
      return true;
    });
  }

  get #next(): JobEntry | undefined {
    let next: JobEntry | undefined;
    for (const job of this.#jobs.values()) if (next === undefined || job.dueAt < next.dueAt) next = job;
    return next;
  }

  /** Waits for the next run, by the wall clock. */
  #watch(): void {
    this.#timer?.cancel();
    const next = this.#next;
    if (next === undefined || this.#closed) return;
    const { clock } = this.#context;
    const left = Math.max(next.dueAt - clock.now(), this.#notBefore - clock.monotonic());
    const check = (): void => void this.#change(() => this.#runDue()).catch(() => this.#later());
    this.#timer = clock.schedule(Math.max(0, Math.min(left, CHECK_MS)), check, { background: true });
  }

  async #runDue(): Promise<void> {
    const { clock } = this.#context;
    for (const job of [...this.#jobs.values()]) {
      const now = clock.now();
      const rule = ruleOf(readTerms(job));
      // After the clock was set back, an interval does not wait for a time that is far ahead.
      const isAhead = typeof rule?.every === "number" && job.dueAt - now > rule.every;
      if (isAhead) await this.#move(job, now + Number(rule.every));
      else if (job.dueAt <= now && clock.monotonic() >= this.#notBefore && !this.#closed) await this.#run(job, now);
    }
    this.#watch();
  }

  /** Makes a turn of a schedule whose time has come. */
  async #run(job: JobEntry, now: number): Promise<void> {
    if (this.#spender.overBudget() !== undefined || this.#intake.isFull) {
      this.#notBefore = this.#context.clock.monotonic() + RETRY_MS;
      return;
    }
    const terms = readTerms(job);
    const rule = ruleOf(terms);
    const nextAt = rule === undefined ? undefined : nextAfter(rule, job.dueAt, now);
    // A run that takes longer than its interval is not followed by a queue of others.
    const last = this.#intake.find(this.#last.get(job.id) ?? "");
    if (nextAt !== undefined && last !== undefined && !last.ended) {
      await this.#move(job, nextAt);
      return;
    }
    const { id, session } = job;
    const prompt = promptOfJob(job);
    const { row, contents } = storedPrompt(heldPrompt(prompt));
    const { timeoutMs, queueTimeoutMs, by, metadata } = terms;
    const turn: AcceptedTurn = {
      id: rule === undefined ? id : keyedTurnId(session, `${id} at ${job.dueAt}`),
      session,
      ...row,
      position: 0,
      durable: true,
      acceptedAt: now,
      ...withoutUndefined({ timeoutMs, queueTimeoutMs, by, metadata }),
    };
    const after: Change =
      nextAt === undefined ? { type: "job_dropped", job: id } : { type: "job_saved", job: { ...job, dueAt: nextAt } };
    await this.#context.journal.recordDurably([
      { type: "turn_accepted", turn, ...(contents.length > 0 && { contents }) },
      after,
    ]);
    if (nextAt === undefined) this.#forget(id);
    else this.#jobs.set(id, { ...job, dueAt: nextAt });
    if (nextAt !== undefined) this.#last.set(id, turn.id);
    if (!this.#closed) this.#intake.take({ ...turn, state: "queued", attempts: 0, touched: false }, prompt);
  }

  async #move(job: JobEntry, dueAt: number): Promise<void> {
    const moved = { ...job, dueAt };
    await this.#context.journal.recordDurably([{ type: "job_saved", job: moved }]);
    this.#jobs.set(job.id, moved);
  }

  #later(): void {
    this.#notBefore = this.#context.clock.monotonic() + RETRY_MS;
    this.#watch();
  }

  #forget(id: string): void {
    this.#jobs.delete(id);
    this.#last.delete(id);
  }

  /** Whether a schedule that runs once has become a turn. @throws CastellanError `INVALID_OPTIONS` if its prompt differs */
  async #hasRun(id: string, asked: PromptText, what: string): Promise<boolean> {
    const turn = await this.#context.journal.find(id);
    if (turn !== undefined && !isOf(turn, heldPrompt(asked))) throw this.#otherPrompt(what);
    return turn !== undefined;
  }

  #otherPrompt(what: string): CastellanError {
    const message = "is the key of another turn with a different prompt; use one key per turn";
    return invalidOptions(what, [{ field: "idempotencyKey", message }]);
  }

  #change<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#changing === undefined ? work() : this.#changing.then(work);
    const changing = result
      .catch(() => {})
      .finally(() => {
        if (this.#changing === changing) this.#changing = undefined;
      });
    this.#changing = changing;
    return result;
  }
}

function sameRule(one: ScheduleTerms, other: ScheduleTerms): boolean {
  return one.every === other.every && one.timezone === other.timezone;
}
