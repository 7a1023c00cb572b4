import { type Clock, scheduleUntil, type Timer } from "../clock.ts";

/** A waiting job, as far as a pool keeps it in memory. */
export interface WaitingJob {
  readonly id: string;
  readonly priority: number;
  /** In milliseconds since the epoch. */
  readonly dueAt: number;
}

/** A waiting job, and its place among those of its priority. */
export interface PlacedJob extends WaitingJob {
  readonly number: number;
}

/** The waiting jobs of a pool: those that can run, by priority and then in their order, and those that are delayed. */
export class JobQueue {
  readonly #clock: Clock;
  readonly #due: () => void;
  #number = 0;
  /** In order. */
  readonly #ready: PlacedJob[] = [];
  /** The next due first. */
  readonly #delayed: PlacedJob[] = [];
  #timer: Timer | undefined;

  /** @param due called when delayed jobs have become ready */
  constructor(clock: Clock, due: () => void) {
    this.#clock = clock;
    this.#due = due;
  }

  get length(): number {
    return this.#ready.length + this.#delayed.length;
  }

  /** The number of jobs that can run. */
  get ready(): number {
    return this.#ready.length;
  }

  /** The job that runs next. */
  get first(): WaitingJob | undefined {
    return this.#ready[0];
  }

  add(job: WaitingJob): void {
    this.#number += 1;
    this.restore({ ...job, number: this.#number });
  }

  /** Adds a removed job again, in its place. */
  restore(job: PlacedJob): void {
    if (job.dueAt <= this.#clock.now()) insert(this.#ready, job, byPriority);
    else {
      insert(this.#delayed, job, byTime);
      if (this.#delayed[0] === job) this.#watch();
    }
  }

  take(): WaitingJob | undefined {
    return this.#ready.shift();
  }

  /** Puts a job back in front of all others. */
  putBack(job: WaitingJob): void {
    this.#ready.unshift({ ...job, number: 0 });
  }

  /** Removes a job and returns it; undefined if it was not waiting. */
  remove(id: string): PlacedJob | undefined {
    for (const jobs of [this.#ready, this.#delayed]) {
      const index = jobs.findIndex((job) => job.id === id);
      if (index === -1) continue;
      const [removed] = jobs.splice(index, 1);
      if (jobs === this.#delayed && index === 0) this.#watch();
      return removed;
    }
    return undefined;
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** One timer for the next delayed job serves all. */
  #watch(): void {
    this.#timer?.cancel();
    const [next] = this.#delayed;
    if (next === undefined) return;
    const due = (): void => {
      // The wall clock may have been set back during the wait, which does not prolong it.
      const until = Math.max(this.#clock.now(), next.dueAt);
      const later = this.#delayed.findIndex(({ dueAt }) => dueAt > until);
      for (const job of this.#delayed.splice(0, later === -1 ? this.#delayed.length : later)) {
        insert(this.#ready, job, byPriority);
      }
      this.#watch();
      this.#due();
    };
    this.#timer = scheduleUntil(this.#clock, next.dueAt, due, { background: true });
  }
}

function byPriority(one: PlacedJob, other: PlacedJob): number {
  return other.priority - one.priority || one.number - other.number;
}

function byTime(one: PlacedJob, other: PlacedJob): number {
  return one.dueAt - other.dueAt || one.number - other.number;
}

/** Inserts a job behind all jobs that do not come after it. */
function insert(jobs: PlacedJob[], job: PlacedJob, compare: (one: PlacedJob, other: PlacedJob) => number): void {
  let [low, high] = [0, jobs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const present = jobs[middle];
    if (present !== undefined && compare(present, job) <= 0) low = middle + 1;
    else high = middle;
  }
  jobs.splice(low, 0, job);
}
