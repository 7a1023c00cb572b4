import { type Clock, pause, type Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { TurnEntry } from "../journal/model/turn-entry.ts";
import type { PromptText } from "../session/options/prompt.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { takenJob } from "./job-turn.ts";

/** How often a node looks for jobs that other nodes have accepted. */
const LOOK_MS = 1_000;

/** How long a member that another node owns, or that cannot take a job, is left alone. */
const AWAY_MS = 5_000;

/** How long a job may be held before it needs another reservation. Shorter than the engine's thirty seconds. */
const HELD_MS = 20_000;

/** How many indexes are tried for a member. */
const MOST_MEMBERS = 10_000;

/** The turn of a job, as far as the runner needs it. */
export interface RunningJob {
  readonly result: Promise<unknown>;
  /** Whether it continues on the member's next owner. */
  readonly left: boolean;
}

/** A member that this node owns and that can take a job now. */
export interface JobMember {
  readonly key: string;
  readonly timeoutMs: number | undefined;
  /** Begins a turn that the journal has accepted. Resolves with the present one if the session has just read it there. */
  take(entry: TurnEntry, prompt: PromptText): Promise<RunningJob | undefined>;
}

/** What the runner needs of its node. */
export interface SharedJobRunnerDeps {
  /** The pool, for messages. */
  readonly who: string;
  readonly clock: Clock;
  /** The journal that all nodes share. It rejects writes for a member that the node no longer owns. */
  readonly journal: Pick<SupervisorJournal, "journal" | "writer">;
  /** How many jobs may run on this node at a time. */
  limit(): number;
  /** Reserves the next due job for this node. */
  reserve(): Promise<string | undefined>;
  /** Claims the member with this index. Resolves with undefined if it cannot take a job, or another node owns it. */
  member(index: number): Promise<JobMember | undefined>;
  /** Does what else is due from time to time. */
  tend(): Promise<void>;
}

/**
 * Runs jobs of a pool on members that this node owns. One batch replaces a job by a turn of a member; the database takes it only
 * while the node owns the member, and it has no effect if a turn with the job's id exists. From then on the job is a turn of a
 * global session: when the node is lost, the member's next owner continues it.
 */
export class SharedJobRunner {
  readonly #deps: SharedJobRunnerDeps;
  /** The jobs that run, by the index of their member. */
  readonly #running = new Map<number, string>();
  /** The indexes of members that this node has used, so that they come first. */
  readonly #used = new Set<number>();
  /** Until when a member is left alone, on the monotonic clock. */
  readonly #away = new Map<number, number>();
  /** A reserved job for which there was no member. */
  #held: { readonly id: string; readonly until: number } | undefined;
  #looking: "no" | "yes" | "again" = "no";
  #timer: Timer | undefined;
  #closed = false;
  readonly #reported = new Set<string>();
  /** The jobs that are becoming turns: the journal may have a turn that its session does not know yet. */
  readonly #handing = new Map<string, Promise<unknown>>();

  constructor(deps: SharedJobRunnerDeps) {
    this.#deps = deps;
  }

  /** The number of running jobs. */
  get running(): number {
    return this.#running.size;
  }

  /** Resolves once the session of a member knows this job's turn, or at once if it is not becoming one here. Never rejects. */
  async arrived(id: string): Promise<void> {
    await this.#handing.get(id)?.catch(() => {});
  }

  /** Looks for jobs from now on. */
  begin(): void {
    if (this.#closed) return;
    void this.#deps.tend().catch(() => {});
    this.update();
    this.#timer = this.#deps.clock.schedule(LOOK_MS, () => this.begin(), { background: true });
  }

  /** Takes no more jobs. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Looks for jobs now. */
  update(): void {
    if (this.#looking === "no") void this.#look();
    else this.#looking = "again";
  }

  async #look(): Promise<void> {
    do {
      this.#looking = "yes";
      try {
        while (!this.#closed && this.#running.size < this.#deps.limit() && (await this.#startOne()));
      } catch {
        // The database does not answer, or the node is leaving. The next look tries again.
      }
    } while (this.#isAgain && !this.#closed);
    this.#looking = "no";
  }

  get #isAgain(): boolean {
    return this.#looking === "again";
  }

  /** Starts a job. Resolves with whether there was one, and a member for it. */
  async #startOne(): Promise<boolean> {
    const { clock, reserve } = this.#deps;
    const held = this.#held;
    this.#held = undefined;
    const until = clock.monotonic() + HELD_MS;
    const isHeld = held !== undefined && clock.monotonic() < held.until;
    const id = isHeld ? held.id : await reserve();
    if (id === undefined) return false;
    const found = await this.#member().catch(() => undefined);
    if (found === undefined || this.#closed) {
      this.#held = isHeld ? held : { id, until };
      return false;
    }
    this.#running.set(found.index, id);
    void this.#run(id, found.index, found.member);
    return true;
  }

  async #member(): Promise<{ readonly index: number; readonly member: JobMember } | undefined> {
    const { clock, member: claim } = this.#deps;
    const isWanted = (index: number): boolean =>
      !this.#running.has(index) && (this.#away.get(index) ?? 0) <= clock.monotonic();
    const find = async (index: number): Promise<JobMember | undefined> => {
      const member = isWanted(index) ? await claim(index) : undefined;
      if (member !== undefined) this.#used.add(index);
      else if (!this.#running.has(index) && isWanted(index)) this.#away.set(index, clock.monotonic() + AWAY_MS);
      return member;
    };
    for (const index of this.#used) {
      const member = await find(index);
      if (member !== undefined) return { index, member };
    }
    for (let index = 0; index < MOST_MEMBERS && !this.#closed; index++) {
      const member = await find(index);
      if (member !== undefined) return { index, member };
    }
    return undefined;
  }

  async #run(id: string, index: number, member: JobMember): Promise<void> {
    try {
      const handing = this.#hand(id, member);
      this.#handing.set(id, handing);
      const job = await handing.finally(() => this.#handing.delete(id));
      await job?.result.catch(() => {});
      // The member is quarantined, or moves.
      if (job?.left === true) this.#away.set(index, this.#deps.clock.monotonic() + AWAY_MS);
    } catch (error) {
      this.#away.set(index, this.#deps.clock.monotonic() + AWAY_MS);
      this.#report(id, error);
    }
    this.#running.delete(index);
    this.update();
  }

  /** Replaces a job by a turn of the member. Resolves with undefined if somebody else has taken it. */
  async #hand(id: string, member: JobMember): Promise<RunningJob | undefined> {
    const { journal, clock } = this.#deps;
    const job = await journal.journal.job(id);
    if (job === undefined) return undefined;
    if ((await journal.journal.turn(id)) !== undefined) {
      // It was accepted once more after a member had taken it.
      await journal.writer?.record([{ type: "job_dropped", job: id }], { session: member.key });
      return undefined;
    }
    const { turn, prompt, changes } = takenJob(job, member.key, member.timeoutMs, clock.now());
    await journal.writer?.record(changes, { durable: true, session: member.key });
    const entry = await this.#written(id);
    if (entry?.session !== turn.session || entry.state !== "queued") return undefined;
    return await member.take(entry, prompt);
  }

  /** Returns the turn that was written, once the journal answers: nothing else would start it while the member is here. */
  async #written(id: string): Promise<TurnEntry | undefined> {
    const { journal, clock } = this.#deps;
    for (;;) {
      try {
        return await journal.journal.turn(id);
      } catch (error) {
        if (this.#closed || isDamage(error)) throw error;
      }
      await pause(clock, LOOK_MS, { background: true });
    }
  }

  /** Warns of a damaged job, once. Any other failure is tried again when the reservation ends. */
  #report(id: string, error: unknown): void {
    if (!isDamage(error) || this.#reported.has(id)) return;
    this.#reported.add(id);
    const message = `${this.#deps.who}: the job ${id} cannot run: ${error.message}`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
  }
}

function isDamage(error: unknown): error is CastellanError {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && ["damaged", "refused"].includes(error.details.reason);
}
