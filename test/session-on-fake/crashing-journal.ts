import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";

/** A journal that takes this many batches and answers no later write, as if the application crashed at that moment. */
export class CrashingJournal {
  /** What earlier applications have written. */
  readonly #before: readonly Batch[];
  readonly taken: Batch[] = [];
  /** The first batch that was not written. */
  lost: readonly Change[] = [];
  readonly journal: Journal;

  #batches: number;

  constructor(
    batches: number = Number.POSITIVE_INFINITY,
    inner: Journal = memoryJournal(),
    before: readonly Batch[] = [],
  ) {
    this.#batches = batches;
    this.#before = before;
    this.journal = {
      location: "crashing",
      open: (owner) => inner.open(owner),
      close: () => inner.close(),
      write: async (batch) => {
        if (this.taken.length >= this.#batches) {
          if (this.lost.length === 0) this.lost = batch.changes;
          await new Promise(() => {});
        }
        this.taken.push(batch);
        await inner.write(batch);
      },
      sessions: (keys) => inner.sessions(keys),
      unfinishedBeginning: (prefix) => inner.unfinishedBeginning(prefix),
      turn: (id) => inner.turn(id),
      listSessions: (query) => inner.listSessions(query),
      turns: (query) => inner.turns(query),
      unfinishedTurns: (keys) => inner.unfinishedTurns(keys),
      approvals: (key, limit) => inner.approvals(key, limit),
      conversations: (key) => inner.conversations(key),
      records: (key) => inner.records(key),
      job: (id) => inner.job(id),
      jobs: (key) => inner.jobs(key),
      dueBeginning: (prefix, until) => inner.dueBeginning(prefix, until),
      deliveries: (query) => inner.deliveries(query),
      extent: (key) => inner.extent(key),
      usage: (query) => inner.usage(query),
      events: (query) => inner.events(query),
      eventExtent: (key) => inner.eventExtent(key),
      content: (hash) => inner.content(hash),
      prune: (retention) => inner.prune(retention),
    };
  }

  /** Answers no further write. */
  crash(): void {
    this.#batches = this.taken.length;
  }

  /** Copies what was written into a journal for the next application. */
  async left(): Promise<Journal> {
    const left = memoryJournal();
    await left.open({ id: "copy", pid: 1, host: "here", startedAt: 0 });
    for (const [index, { changes }] of [...this.#before, ...this.taken].entries()) {
      await left.write({ number: index + 1, changes, durable: false });
    }
    await left.close();
    return left;
  }

  /** Returns a crashing journal for the next application. */
  async next(): Promise<CrashingJournal> {
    return new CrashingJournal(Number.POSITIVE_INFINITY, await this.left(), [...this.#before, ...this.taken]);
  }
}
