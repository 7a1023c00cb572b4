import { setImmediate as nextRound } from "node:timers/promises";
import type { Clock, Timer } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type JournalFault } from "../errors.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import type { Batch, Change } from "./model/change.ts";
import type { Journal } from "./model/journal.ts";
import { writeFault } from "./model/journal-errors.ts";

/** How long a change that can still be refused waits for a journal that does not take it. */
const PATIENCE_MS = 5_000;

/** How much later than it was due a timer may be before it is the host that stood still, and not the journal. */
const LATE_MS = 250;

/** How many changes are put into one batch; those of one call stay together. */
const MOST_CHANGES = 500;

/** A journal that cannot be written is tried again after 50 ms, then after twice as long each time, up to two seconds. */
const RETRY = { base: 50, factor: 2, max: 2_000, jitter: 0.2 };

/** One that another program has locked may be free at any moment. */
const RETRY_BUSY = { ...RETRY, max: 200 };

/** Of these no item of a batch is the reason. */
const WAITED_FOR: ReadonlySet<string> = new Set(["unreachable", "busy"] satisfies JournalFault[]);

interface Item {
  readonly changes: readonly Change[];
  readonly durable: boolean;
  readonly session: string | undefined;
  /** Whether the caller would rather be refused than wait for ever. */
  readonly revocable: boolean;
  /** If somebody waits for it. */
  readonly written?: PromiseWithResolvers<void>;
  timer?: Timer;
}

/** How changes are written. */
export interface WriteOptions {
  /** Whether they must be there also after the machine has lost its power. Default: `false`. */
  readonly durable?: boolean;
  /** The key of the session whose changes they are. */
  readonly session?: string;
}

export interface JournalWriterDeps {
  readonly clock: Clock;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
}

/**
 * Writes changes into a journal, one batch after the other and in the order in which they came. What comes while a batch is
 * being written goes into the next one.
 *
 * What has happened cannot be refused: it waits, and is tried again, until the journal takes it. What is only about to happen
 * can be, so that its caller is told.
 */
export class JournalWriter {
  readonly #journal: Journal;
  readonly #deps: JournalWriterDeps;
  #queue: Item[] = [];
  #number = 0;
  #failures = 0;
  /** When the journal has taken something last, on the monotonic clock. */
  #takenAt = Number.NEGATIVE_INFINITY;
  /** Whether the next batch is to be of one item only, to find out which one is refused. */
  #alone = 0;
  #flushing: Promise<void> | undefined;
  /** Whether it is only being found out if the journal can be written again. */
  #probing = false;
  #fault: CastellanError | undefined;
  #lost: CastellanError | undefined;
  readonly #whenLost: PromiseWithResolvers<CastellanError> = Promise.withResolvers();
  #closing = false;
  #wake: (() => void) | undefined;

  /** The journal has just been opened, and nobody else writes to it. */
  constructor(journal: Journal, deps: JournalWriterDeps) {
    this.#journal = journal;
    this.#deps = deps;
  }

  /** Why the journal does not take what there is to write, if it does not. */
  get fault(): CastellanError | undefined {
    return this.#fault;
  }

  /** Resolves when another application has taken the journal over. */
  get lost(): Promise<CastellanError> {
    return this.#whenLost.promise;
  }

  /**
   * Writes what can still be refused.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if the journal refuses it, or has not taken it after five seconds. Without
   * `details.applied` it may have been written all the same; `NOT_OWNER`
   */
  write(changes: readonly Change[], options: WriteOptions = {}): Promise<void> {
    return this.#enter(changes, options, true);
  }

  /**
   * Resolves when all that was given so far is written, or is refused; at once if there is nothing to write.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if that takes more than five seconds; `NOT_OWNER`
   */
  settled(): Promise<void> {
    if (this.#lost === undefined && (this.#flushing === undefined || (this.#probing && this.#queue.length === 0)))
      return Promise.resolve();
    return this.#enter([], {}, true);
  }

  /**
   * The same for somebody who would rather read what is written than be refused: a journal that cannot be written is not waited for, or
   * for no more than five seconds.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  async caughtUp(): Promise<void> {
    if (this.#fault !== undefined && this.#lost === undefined) return;
    await this.settled().catch((error: unknown) => {
      if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE")) throw error;
    });
  }

  /**
   * To be told that another application has taken the journal over: refuses what waits, and all that comes. What is being
   * written is still written if it can be.
   */
  lose(error: CastellanError): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#fault = error;
    this.#refuseAll(this.#queue.splice(0), error);
    this.#wake?.();
    this.#whenLost.resolve(error);
  }

  /**
   * Writes what has happened; resolves when it is written, however long that takes.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  record(changes: readonly Change[], options: WriteOptions = {}): Promise<void> {
    const written = this.#enter(changes, options, false);
    written.catch(() => {});
    return written;
  }

  /** The same for what nobody waits for. */
  note(changes: readonly Change[], { durable = false, session }: WriteOptions = {}): void {
    if (this.#lost === undefined && !this.#closing) this.#push({ changes, durable, session, revocable: false });
  }

  /** Resolves when all that was given so far is written, or after `ms`; then what is left is given up. */
  async close(ms: number): Promise<void> {
    await withDeadline(this.#deps.clock, ms, this.#flushing);
    this.#closing = true;
    this.#wake?.();
    const left = this.#queue.splice(0);
    if (left.some(({ revocable }) => !revocable)) {
      const message = `The journal ${this.#journal.location} was given up with ${left.length} changes unwritten: ${this.#fault?.message ?? "it is too slow"}`;
      process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
    }
    for (const item of left) this.#refuse(item, this.#closed());
  }

  #enter(changes: readonly Change[], { durable = false, session }: WriteOptions, revocable: boolean): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (this.#closing) return Promise.reject(this.#closed());
    const written = Promise.withResolvers<void>();
    const item: Item = { changes, durable, session, revocable, written };
    if (revocable) this.#expireIn(item, PATIENCE_MS);
    this.#push(item);
    return written.promise;
  }

  /**
   * To be told that the journal cannot be written, although it could be opened; whether it can be is tried from now on, so that it
   * is known without somebody having something to write.
   */
  impair(error: CastellanError): void {
    this.#fault = error;
    this.#flushing ??= this.#flush();
  }

  #push(item: Item): void {
    this.#queue.push(item);
    if (this.#probing) this.#wake?.();
    // When the event loop comes round, so that what many sessions say in the same moment is written in one batch.
    this.#flushing ??= nextRound().then(() => this.#flush());
  }

  async #flush(): Promise<void> {
    while (this.#lost === undefined && !this.#closing) {
      if (this.#queue.length > 0) await this.#put(this.#take());
      else if (this.#fault !== undefined && this.#journal.shared !== true) await this.#probe();
      else break;
    }
    this.#flushing = undefined;
  }

  /** Finds out whether the journal can be written again, so that nobody has to ask for a turn for that. */
  async #probe(): Promise<void> {
    this.#probing = true;
    await this.#pause();
    if (this.#queue.length === 0 && this.#lost === undefined && !this.#closing) await this.#put([]);
    this.#probing = false;
  }

  #take(): Item[] {
    let [items, changes] = [0, 0];
    for (const item of this.#queue) {
      if (items > 0 && (this.#alone > 0 || changes + item.changes.length > MOST_CHANGES)) break;
      items += 1;
      changes += item.changes.length;
    }
    this.#alone = Math.max(0, this.#alone - 1);
    return this.#queue.splice(0, items);
  }

  /** Writes a batch, also an empty one if there are no items. One that may have been applied is tried until it has been; one that has not goes back into the queue. */
  async #put(items: Item[]): Promise<void> {
    const changes = items.flatMap((item) => item.changes);
    const durable = items.some((item) => item.durable);
    const sessions = [...new Set(items.flatMap(({ session }) => session ?? []))];
    const batch = { changes, durable, ...(sessions.length > 0 && { sessions }) };
    for (;;) {
      try {
        if (changes.length > 0 || items.length === 0) await this.#write(batch);
        for (const item of items) {
          item.timer?.cancel();
          item.written?.resolve();
        }
        return;
      } catch (thrown) {
        const error = writeFault(thrown, this.#journal.location);
        if (error.code === "NOT_OWNER") this.lose(error);
        if (this.#lost !== undefined) return this.#refuseAll(items, this.#lost);
        this.#fault = error;
        const { reason, applied } = CastellanError.is(error, "JOURNAL_UNAVAILABLE")
          ? error.details
          : { reason: "failed" };
        if (applied === false) return await this.#putBack(items, error, reason);
        await this.#pause(reason);
        if (this.#lost !== undefined || this.#closing) return this.#refuseAll(items, this.#lost ?? error);
      }
    }
  }

  async #write(batch: Omit<Batch, "number">): Promise<void> {
    await this.#journal.write({ number: this.#number + 1, ...batch });
    this.#number += 1;
    this.#failures = 0;
    this.#takenAt = this.#deps.clock.monotonic();
    if (this.#lost === undefined) this.#fault = undefined;
  }

  /** Finds out which item it is that is refused. A journal that cannot be reached refuses none. */
  async #putBack(items: Item[], error: CastellanError, reason: string): Promise<void> {
    const [first] = items;
    if (first === undefined) return;
    if (items.length === 1 && !WAITED_FOR.has(reason)) {
      if (first.revocable) return this.#refuse(first, error);
      if (reason === "refused") {
        const message = `The journal ${this.#journal.location} does not take what has happened, which is lost to it: ${error.message}`;
        process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
        return this.#refuse(first, error);
      }
    }
    this.#queue.unshift(...items);
    if (items.length > 1 && !WAITED_FOR.has(reason)) this.#alone = items.length;
    else await this.#pause(reason);
  }

  /**
   * Gives an item up after this time, if it is the journal that has taken nothing for so long: not where it takes one batch after the
   * other and there are many, nor where the host was blocked or frozen and has not heard yet what the journal answered.
   */
  #expireIn(item: Item, ms: number): void {
    const { clock } = this.#deps;
    const due = clock.monotonic() + ms;
    item.timer = clock.schedule(ms, () => {
      const now = clock.monotonic();
      const left = this.#fault === undefined ? this.#takenAt + PATIENCE_MS - now : 0;
      if (now - due > LATE_MS) this.#expireIn(item, PATIENCE_MS);
      else if (left > 0) this.#expireIn(item, left);
      else this.#expire(item);
    });
  }

  /** Nobody waits for it any more; if it is being written, it may still come to be. */
  #expire(item: Item): void {
    const index = this.#queue.indexOf(item);
    if (index !== -1) this.#queue.splice(index, 1);
    const span = formatDuration(PATIENCE_MS);
    const message = `The journal ${this.#journal.location} could not be written for ${span}: ${this.#fault?.message ?? "it does not answer."}`;
    const reason = CastellanError.is(this.#fault, "JOURNAL_UNAVAILABLE") ? this.#fault.details.reason : "unreachable";
    const details = { reason, ...(index === -1 ? {} : { applied: false }) };
    item.written?.reject(new CastellanError("JOURNAL_UNAVAILABLE", message, { details, cause: this.#fault }));
  }

  async #pause(reason?: string): Promise<void> {
    this.#failures += 1;
    if (this.#closing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const retry = reason === "busy" ? RETRY_BUSY : RETRY;
    const delay = backoffDelay(this.#failures + 1, retry, this.#deps.random);
    const timer = this.#deps.clock.schedule(delay, resolve, { background: true });
    this.#wake = resolve;
    await promise;
    timer.cancel();
  }

  #refuseAll(items: readonly Item[], error: CastellanError): void {
    for (const item of items) this.#refuse(item, error);
  }

  #refuse(item: Item, error: CastellanError): void {
    item.timer?.cancel();
    item.written?.reject(error);
  }

  #closed(): CastellanError {
    const message = `The journal ${this.#journal.location} has been closed.`;
    return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "failed", applied: false } });
  }
}
