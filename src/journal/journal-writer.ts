import { setImmediate as nextRound } from "node:timers/promises";
import type { Clock, Timer } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type JournalFault } from "../errors.ts";
import { backoffDelay } from "../supervision/backoff.ts";
import type { Batch, Change } from "./model/change.ts";
import type { Journal } from "./model/journal.ts";
import { writeFault } from "./model/journal-errors.ts";

/** How long a revocable change waits for the journal, in milliseconds. */
const PATIENCE_MS = 5_000;

/** How long lazy changes wait for later ones of their session, in milliseconds. */
const LAZY_MS = 200;

/** A timer that is later than this, in milliseconds, shows that the host was suspended, not the journal. */
const LATE_MS = 250;

/** Maximum number of changes in a batch, except that the changes of one call stay together. */
const MOST_CHANGES = 500;

/** Back-off between attempts to write, in milliseconds. */
const RETRY = { base: 50, factor: 2, max: 2_000, jitter: 0.2 };

/** Another program may release its lock at any moment. */
const RETRY_BUSY = { ...RETRY, max: 200 };

/** Faults of the journal as a whole, for which no single item is to blame. */
const WAITED_FOR: ReadonlySet<string> = new Set(["unreachable", "busy"] satisfies JournalFault[]);

/** Changes that must come after the lazy ones of their session: later events and progress, and deletions of what the lazy ones add. */
const AFTER_HELD: ReadonlySet<Change["type"]> = new Set([
  "event_appended",
  "turn_requeued",
  "turn_ended",
  "session_forgotten",
  "session_erased",
  "conversation_erased",
] as const);

/** Tells that changes are written, or, with an error, that they will not be. */
export type Settled = (error?: CastellanError) => void;

interface Item {
  readonly changes: readonly Change[];
  readonly durable: boolean;
  readonly session: string | undefined;
  /** Whether the caller prefers an error over waiting without limit. */
  readonly revocable: boolean;
  /** Whether it can wait, see {@link WriteOptions}. */
  readonly lazy?: boolean;
  /** Set if the caller wants to know. */
  readonly settled?: Settled | undefined;
  timer?: Timer;
}

/** How to write changes. */
export interface WriteOptions {
  /** Whether the changes must survive a power loss. Default: `false`. */
  readonly durable?: boolean;
  /** Key of the session that the changes belong to. */
  readonly session?: string;
  /**
   * Whether the changes may wait up to 200 ms, to share the batch of later events of their session. They are written
   * before these, before the session's data is deleted, and before anything that waits for all earlier changes. Default:
   * `false`.
   */
  readonly lazy?: boolean;
}

export interface JournalWriterDeps {
  readonly clock: Clock;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
}

/**
 * Writes changes to a journal in order, one batch at a time. Changes that arrive during a write go into the next batch.
 *
 * What has already happened cannot be rejected: it waits and is retried until the journal accepts it. What is about to
 * happen can be rejected, and its caller is told.
 */
export class JournalWriter {
  readonly #journal: Journal;
  readonly #deps: JournalWriterDeps;
  #queue: Item[] = [];
  /** Lazy items, by session. */
  readonly #held = new Map<string | undefined, Item[]>();
  /** The items of the batch that is being written. */
  #writing: readonly Item[] = [];
  #number = 0;
  #failures = 0;
  /** When the journal last accepted a batch, on the monotonic clock. */
  #takenAt = Number.NEGATIVE_INFINITY;
  /** Number of items to write alone, to find the rejected one. */
  #alone = 0;
  #flushing: Promise<void> | undefined;
  /** Whether only a probe is pending, which tests whether the journal accepts writes again. */
  #probing = false;
  #fault: CastellanError | undefined;
  #lastFault: { readonly at: number; readonly message: string } | undefined;
  #lost: CastellanError | undefined;
  readonly #whenLost: PromiseWithResolvers<CastellanError> = Promise.withResolvers();
  #closing = false;
  #wake: (() => void) | undefined;
  /** Set from the first held item on. It goes on without any, because most turns would set it again. */
  #lazyTimer: Timer | undefined;
  /** Whether lazy items wait. While the writer closes, they do not. */
  #holds = true;

  /** The journal must be freshly opened, with no other writer. */
  constructor(journal: Journal, deps: JournalWriterDeps) {
    this.#journal = journal;
    this.#deps = deps;
  }

  /** When the journal last rejected or failed a write, and why. */
  get lastFault(): { readonly at: number; readonly message: string } | undefined {
    return this.#lastFault;
  }

  /** Why the journal accepts no writes at present; undefined if it does. */
  get fault(): CastellanError | undefined {
    return this.#fault;
  }

  /** Resolves when another application has taken over the journal. */
  get lost(): Promise<CastellanError> {
    return this.#whenLost.promise;
  }

  /**
   * Writes changes that can be rejected.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if the journal rejects them or accepts nothing for five seconds: they
   * may be written all the same unless `details.applied` is false; `NOT_OWNER`
   */
  write(changes: readonly Change[], options: WriteOptions = {}): Promise<void> {
    return this.#enter(changes, options, true);
  }

  /**
   * Resolves once all earlier changes are written or rejected; with `session`, all that may concern that session.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` if that takes more than five seconds; `NOT_OWNER`
   */
  settled(session?: string): Promise<void> {
    if (this.#lost === undefined && !this.#hasPending(session)) return Promise.resolve();
    return this.#enter([], session === undefined ? {} : { session }, true);
  }

  #hasPending(session: string | undefined): boolean {
    if (session === undefined) return this.#writing.length + this.#queue.length + this.#held.size > 0;
    const concerns = (item: Item): boolean =>
      item.changes.length > 0 && (item.session === undefined || item.session === session);
    return this.#held.has(session) || this.#writing.some(concerns) || this.#queue.some(concerns);
  }

  /**
   * Like `settled`, for a reader who prefers old data over an error: waits at most five seconds, and not at all while
   * the journal accepts no writes.
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
   * Tells the writer that another application has taken over the journal. It rejects pending and later changes; a batch
   * that is being written may still succeed.
   */
  lose(error: CastellanError): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#fault = error;
    this.#lazyTimer?.cancel();
    this.#queueHeld();
    this.#refuseAll(this.#queue.splice(0), error);
    this.#wake?.();
    this.#whenLost.resolve(error);
  }

  /**
   * Writes what has already happened. Resolves once it is written, however long that takes.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  record(changes: readonly Change[], options: WriteOptions = {}): Promise<void> {
    const written = this.#enter(changes, options, false);
    written.catch(() => {});
    return written;
  }

  /** Like `record`, but tells `settled` instead of a promise, which costs less. `settled` must not throw. */
  note(
    changes: readonly Change[],
    { durable = false, session, lazy = false }: WriteOptions = {},
    settled?: Settled,
  ): void {
    if (this.#lost !== undefined) settled?.(this.#lost);
    else if (this.#closing) settled?.(this.#closed());
    else this.#push({ changes, durable, session, revocable: false, lazy, settled });
  }

  /** Ends the wait of a session's lazy changes. */
  release(session: string): void {
    if (!this.#held.has(session)) return;
    this.#queueHeld(session);
    this.#flushNow();
  }

  /** Resolves once all earlier changes are written, or after `ms`; the rest is then dropped. */
  async close(ms: number): Promise<void> {
    this.#holds = false;
    this.#lazyTimer?.cancel();
    this.#queueHeld();
    if (this.#queue.length > 0) this.#flushNow();
    await withDeadline(this.#deps.clock, ms, this.#flushing);
    this.#closing = true;
    this.#wake?.();
    const left = this.#queue.splice(0);
    if (left.some(({ revocable }) => !revocable)) {
      const message = `The journal ${this.#journal.location} was closed with ${left.length} changes unwritten: ${this.#fault?.message ?? "it is too slow"}`;
      process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
    }
    for (const item of left) this.#refuse(item, this.#closed());
  }

  #enter(
    changes: readonly Change[],
    { durable = false, session, lazy = false }: WriteOptions,
    revocable: boolean,
  ): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (this.#closing) return Promise.reject(this.#closed());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const settled: Settled = (error) => (error === undefined ? resolve() : reject(error));
    const item: Item = { changes, durable, session, revocable, lazy, settled };
    if (revocable) this.#expireIn(item, PATIENCE_MS);
    this.#push(item);
    return promise;
  }

  /**
   * Tells the writer that the journal was opened read-only. The writer probes it from now on, so that recovery is
   * noticed without a pending change.
   */
  impair(error: CastellanError): void {
    this.#fault = error;
    this.#flushing ??= this.#flush();
  }

  #push(item: Item): void {
    const { session, changes, lazy } = item;
    if (lazy === true && this.#holds) {
      const held = this.#held.get(session);
      if (held === undefined) this.#held.set(session, [item]);
      else held.push(item);
      this.#lazyTimer ??= this.#deps.clock.schedule(LAZY_MS, () => this.#heldLong(), { background: true });
      return;
    }
    if (changes.length === 0 && session === undefined) this.#queueHeld();
    else if (this.#held.has(session) && isAfterHeld(changes)) this.#queueHeld(session);
    this.#queue.push(item);
    this.#flushNow();
  }

  #heldLong(): void {
    this.#lazyTimer = undefined;
    if (this.#held.size === 0) return;
    this.#queueHeld();
    this.#flushNow();
  }

  /** Moves lazy items into the queue: those of the session, or all. */
  #queueHeld(session?: string): void {
    if (session === undefined) {
      for (const held of this.#held.values()) this.#queue.push(...held);
      this.#held.clear();
    } else {
      this.#queue.push(...(this.#held.get(session) ?? []));
      this.#held.delete(session);
    }
  }

  /** Writes the queue, also while a probe waits for its next attempt. */
  #flushNow(): void {
    if (this.#probing) this.#wake?.();
    // Waits for the next turn of the event loop, so that the changes of many sessions go into one batch.
    this.#flushing ??= nextRound().then(() => this.#flush());
  }

  async #flush(): Promise<void> {
    while (this.#lost === undefined && !this.#closing) {
      if (this.#queue.length > 0) {
        const items = this.#take();
        this.#writing = items;
        await this.#put(items);
        this.#writing = [];
      } else if (this.#fault !== undefined && this.#journal.shared !== true) await this.#probe();
      else break;
    }
    this.#flushing = undefined;
  }

  /** Tests whether the journal accepts writes again, so that recovery does not need a turn. */
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

  /**
   * Writes a batch, empty if there are no items. Retries a batch that may have been applied; puts one that was not
   * applied back into the queue.
   */
  async #put(items: Item[]): Promise<void> {
    const changes = changesOf(items);
    const durable = items.some((item) => item.durable);
    const sessions = sessionsOf(items);
    const batch = { changes, durable, ...(sessions.length > 0 && { sessions }) };
    for (;;) {
      try {
        if (changes.length > 0 || items.length === 0) await this.#write(batch);
        this.#writing = [];
        for (const item of items) {
          item.timer?.cancel();
          item.settled?.();
        }
        return;
      } catch (thrown) {
        const error = writeFault(thrown, this.#journal.location);
        if (error.code === "NOT_OWNER") this.lose(error);
        if (this.#lost !== undefined) return this.#refuseAll(items, this.#lost);
        this.#fault = error;
        this.#lastFault = { at: this.#deps.clock.now(), message: error.message };
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

  /** Narrows the rejection down to one item. A fault of the whole journal rejects none. */
  async #putBack(items: Item[], error: CastellanError, reason: string): Promise<void> {
    const [first] = items;
    if (first === undefined) return;
    if (items.length === 1 && !WAITED_FOR.has(reason)) {
      if (first.revocable) return this.#refuse(first, error);
      if (reason === "refused") {
        const message = `The journal ${this.#journal.location} rejects changes that have already happened; they are lost to it: ${error.message}`;
        process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
        return this.#refuse(first, error);
      }
    }
    this.#queue.unshift(...items);
    if (items.length > 1 && !WAITED_FOR.has(reason)) this.#alone = items.length;
    else await this.#pause(reason);
  }

  /**
   * Expires an item after `ms` if the journal has accepted nothing for so long. Waits on while the journal works
   * through a long queue, and after the host was suspended: the journal's answer may be unread.
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

  /** Rejects an item. One that is being written may still be applied. */
  #expire(item: Item): void {
    const index = this.#queue.indexOf(item);
    if (index !== -1) this.#queue.splice(index, 1);
    const span = formatDuration(PATIENCE_MS);
    const message = `The journal ${this.#journal.location} could not be written for ${span}: ${this.#fault?.message ?? "it does not answer."}`;
    const reason = CastellanError.is(this.#fault, "JOURNAL_UNAVAILABLE") ? this.#fault.details.reason : "unreachable";
    const details = { reason, ...(index === -1 ? {} : { applied: false }) };
    item.settled?.(new CastellanError("JOURNAL_UNAVAILABLE", message, { details, cause: this.#fault }));
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
    item.settled?.(error);
  }

  #closed(): CastellanError {
    const message = `The journal ${this.#journal.location} has been closed.`;
    return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "failed", applied: false } });
  }
}

/**
 * Returns the changes of the items, without those that say that Claude began to answer a turn that ends in the same batch:
 * only an unfinished turn is asked for that.
 */
function changesOf(items: readonly Item[]): readonly Change[] {
  const ended = new Set<string>();
  for (const { changes } of items) {
    for (const change of changes) if (change.type === "turn_ended") ended.add(change.turn);
  }
  const all: Change[] = [];
  for (const { changes } of items) {
    for (const change of changes) if (change.type !== "turn_touched" || !ended.has(change.turn)) all.push(change);
  }
  return all;
}

/** Returns the sessions of the items, each once. */
function sessionsOf(items: readonly Item[]): readonly string[] {
  const sessions = new Set<string>();
  for (const { session } of items) if (session !== undefined) sessions.add(session);
  return [...sessions];
}

/** Whether the changes must come after the lazy ones of their session. Without any, they wait for all earlier ones. */
function isAfterHeld(changes: readonly Change[]): boolean {
  return changes.length === 0 || changes.some(({ type }) => AFTER_HELD.has(type));
}
