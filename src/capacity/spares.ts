import { differencesOf, type Fingerprint, fingerprintOf, type Shape, spareMismatch } from "../claude/fingerprint.ts";
import type { Timer } from "../clock.ts";
import { type Backoff, backoffDelay } from "../supervision/backoff.ts";
import type { Capacity, SlotHolder } from "./capacity.ts";
import type { MemoryWatch } from "./memory-watch.ts";
import { type ClaimedSpare, Spare, type SpareDeps, type SpareEnd } from "./spare.ts";
import { SpareDemand, type Wanted } from "./spare-demand.ts";

/** The delay before another spare starts, so that it does not slow down the process that was just requested. */
const START_DELAY_MS = 500;

/** How long to wait before another try if no slot is free. */
const RETRY_MS = 30_000;

/** How long no spare starts after one gave way to a session or to the memory budget: longer each time, until a spare is used. */
const EVICTED: Backoff = { base: RETRY_MS, factor: 2, max: 10 * 60_000, jitter: 0 };

/** How long no spare of a kind starts after one of them failed or died: longer each time, until one is used. */
const FAILED: Backoff = { base: 1_000, factor: 2, max: 10 * 60_000, jitter: 0 };

/** What became of the spares, and of the requests for them. */
export interface SparesStatus {
  /** The number of spares that can be claimed now. */
  readonly ready: number;
  /** The number of starting spares. */
  readonly starting: number;
  /** The number of requests that got a spare. */
  readonly hits: number;
  /**
   * The number of requests that started a process instead, by reason: `conversation` (it resumes one), `own_directory`,
   * `session_id`, `session_store`, `setting_sources`, `plugins`, `start_hooks`, `in_process_mcp` (options that rule out spares),
   * `none_ready`, or `differs:` and the option in which the nearest spare differs.
   */
  readonly misses: Readonly<Record<string, number>>;
  /** The number of spares that were never used, by reason: `evicted`, `expired`, `failed`. */
  readonly unused: Readonly<Record<string, number>>;
}

/** How many spares there may be. */
export interface SparesLimit {
  readonly limit: number;
  /** Whether that is the default: then only templates have spares, and only of processes that Castellan itself spawns. */
  readonly byDefault: boolean;
}

/**
 * Keeps unused processes ready, so that a new conversation need not wait for one to start. A session gets a spare only if its own
 * process would have exactly the same options, directories and environment. A spare is used once and has never had another
 * conversation. Each template whose sessions share their options keeps one. Beyond that, the number of spares follows the recent
 * demand. All of them stay within the limit, and give way to sessions.
 */
export class Spares {
  readonly #limit: number;
  readonly #byDefault: boolean;
  readonly #capacity: Capacity;
  readonly #memory: MemoryWatch | undefined;
  readonly #deps: SpareDeps;
  readonly #demand = new SpareDemand();
  readonly #spares = new Set<Spare>();
  /** The shapes of which there is always to be a spare, by template. */
  readonly #kept = new Map<string, Shape>();
  /** The kinds of `#kept`. */
  #keptKinds = new Map<string, Shape>();
  /** The spares of each kind that failed in a row, and when the next one may start. */
  readonly #failures = new Map<string, { readonly count: number; readonly notBefore: number }>();
  readonly #misses = new Map<string, number>();
  readonly #unused = new Map<SpareEnd, number>();
  #hits = 0;
  #starting: Promise<void> | undefined;
  #timer: Timer | undefined;
  #evictions = 0;
  #notBefore = 0;
  #whenFilled: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor({ limit, byDefault }: SparesLimit, capacity: Capacity, memory: MemoryWatch, deps: SpareDeps) {
    this.#byDefault = byDefault;
    this.#limit = limit;
    this.#capacity = capacity;
    this.#memory = capacity.measures ? memory : undefined;
    this.#deps = deps;
  }

  get status(): SparesStatus {
    const ready = [...this.#spares].filter((spare) => spare.ready).length;
    const starting = this.#starting === undefined ? 0 : 1;
    const [misses, unused] = [this.#misses, this.#unused].map((counts) => Object.fromEntries(counts));
    return { ready, starting, hits: this.#hits, misses: misses ?? {}, unused: unused ?? {} };
  }

  /** Keeps a spare of this shape at all times, in place of the template's earlier one; `undefined` keeps none. */
  keep(template: string, shape: Shape | undefined): void {
    const served = shape !== undefined && spareMismatch(shape) === undefined && !this.#isNotAskedFor(shape);
    const had = this.#kept.delete(template);
    if (served) this.#kept.set(template, shape);
    if (this.#disabled || !(served || had)) return;
    this.#findKeptKinds();
    this.#fillSoon(START_DELAY_MS);
  }

  /** Announces that processes of this shape will be requested more than once. */
  expect(shape: Shape): void {
    if (this.#disabled || this.#byDefault || spareMismatch(shape) !== undefined) return;
    this.#demand.expect(fingerprintOf(shape).id, shape, this.#now);
    this.#fillSoon(START_DELAY_MS);
  }

  /** Returns a spare with its slot, in place of a new process, or undefined. @param begins whether the conversation is new */
  claim(shape: Shape, begins: boolean, holder: SlotHolder): ClaimedSpare | undefined {
    if (this.#spares.size === 0 || this.#disabled || !begins || spareMismatch(shape) !== undefined) return undefined;
    const { id } = fingerprintOf(shape);
    for (const spare of this.#spares) {
      const claimed = spare.fingerprint.id === id ? spare.claim(holder) : undefined;
      if (claimed === undefined) continue;
      this.#hits++;
      this.#evictions = 0;
      this.#failures.delete(id);
      this.#recordDemand(id, shape);
      return claimed;
    }
    return undefined;
  }

  /** Records that a process is started because there was no spare. @param begins whether the conversation is new */
  missed(shape: Shape, begins: boolean): void {
    if (this.#disabled || (this.#byDefault && !this.#isKept(shape))) return;
    const mismatch = begins ? spareMismatch(shape) : "conversation";
    const fingerprint = mismatch === undefined ? fingerprintOf(shape) : undefined;
    const reason = fingerprint === undefined ? mismatch : this.#missReason(fingerprint);
    if (reason !== undefined) this.#misses.set(reason, (this.#misses.get(reason) ?? 0) + 1);
    if (fingerprint !== undefined) this.#recordDemand(fingerprint.id, shape);
  }

  /** Replaces the spares that no longer fit the environment. */
  renew(): void {
    if (this.#disabled) return;
    this.#demand.rekey((shape) => fingerprintOf(shape).id);
    this.#findKeptKinds();
    this.#fillSoon(0);
  }

  /** Resolves once no spare is missing, or none can start now. */
  async filled(): Promise<void> {
    if (this.#disabled || (this.#timer === undefined && this.#starting === undefined)) return;
    this.#whenFilled ??= Promise.withResolvers();
    await this.#whenFilled.promise;
  }

  /** Ends all spares. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#whenFilled?.resolve();
    this.#timer?.cancel();
    await Promise.all([...this.#spares].map((spare) => spare.discard("closed")));
  }

  /** Whether some template has a spare of this kind, or is to have one. */
  #isKept(shape: Shape): boolean {
    return this.#keptKinds.size > 0 && this.#keptKinds.has(fingerprintOf(shape).id);
  }

  /** Whether an application that spawns its processes itself would be surprised by one. */
  #isNotAskedFor({ options }: Shape): boolean {
    return this.#byDefault && options.spawnClaudeCodeProcess !== undefined;
  }

  #findKeptKinds(): void {
    this.#keptKinds = new Map([...this.#kept.values()].map((shape) => [fingerprintOf(shape).id, shape]));
  }

  get #disabled(): boolean {
    return this.#closed || this.#limit === 0;
  }

  get #now(): number {
    return this.#deps.clock.monotonic();
  }

  #recordDemand(id: string, shape: Shape): void {
    this.#demand.record(id, shape, this.#now);
    this.#fillSoon(START_DELAY_MS);
  }

  #missReason(fingerprint: Fingerprint): string {
    const ready = [...this.#spares].filter((spare) => spare.ready);
    const differences = ready.map((spare) => differencesOf(spare.fingerprint, fingerprint));
    const nearest = differences.toSorted((one, other) => one.length - other.length)[0]?.[0];
    return nearest === undefined ? "none_ready" : `differs:${nearest}`;
  }

  #fillSoon(ms: number): void {
    if (this.#closed || this.#timer !== undefined) return;
    const fill = (): void => {
      this.#timer = undefined;
      this.#fill();
    };
    this.#timer = this.#deps.clock.schedule(ms, fill, { background: true });
  }

  /** Starts one missing spare at a time, and discards spares without demand. */
  #fill(): void {
    if (this.#closed || this.#starting !== undefined) return;
    const now = this.#now;
    if (now < this.#notBefore) {
      this.#whenFilled?.resolve();
      this.#whenFilled = undefined;
      this.#fillSoon(this.#notBefore - now);
      return;
    }
    const wanted = this.#wanted(now);
    for (const spare of this.#spares) {
      if (!wanted.some(({ id }) => id === spare.fingerprint.id)) void spare.discard("expired");
    }
    if (this.#spares.size < this.#limit) {
      const missing = wanted.filter(({ id, count }) => this.#countOf(id) < count);
      const waits = missing.map(({ id }) => (this.#failures.get(id)?.notBefore ?? 0) - now);
      const next = missing[waits.findIndex((ms) => ms <= 0)];
      if (next !== undefined) this.#start(next);
      else if (missing.length > 0) this.#fillSoon(Math.min(...waits));
    }
    if (this.#starting !== undefined) return;
    this.#whenFilled?.resolve();
    this.#whenFilled = undefined;
  }

  /** The kinds to have spares of: those in demand, the latest first, and then those of templates. */
  #wanted(now: number): Wanted[] {
    const demanded = this.#demand.wanted(now);
    const kept = [...this.#keptKinds].filter(([kind]) => !demanded.some(({ id }) => id === kind));
    const wanted = [...demanded, ...kept.map(([id, shape]) => ({ id, shape, count: 1 }))];
    for (const id of this.#failures.keys()) if (!wanted.some((one) => one.id === id)) this.#failures.delete(id);
    return wanted;
  }

  #countOf(id: string): number {
    return [...this.#spares].filter(({ fingerprint }) => fingerprint.id === id).length;
  }

  #start({ id, shape }: Wanted): void {
    const fingerprint = fingerprintOf(shape);
    // The environment or a directory has changed since the request; the next request will have the new fingerprint.
    if (fingerprint.id !== id) {
      this.#demand.forget(id);
      this.#findKeptKinds();
      this.#fillSoon(START_DELAY_MS);
      return;
    }
    const spare = new Spare(fingerprint, this.#memory, this.#deps);
    const slot = this.#capacity.take(spare);
    if (slot === undefined) {
      this.#fillSoon(RETRY_MS);
      return;
    }
    this.#spares.add(spare);
    void spare.left.then((as) => this.#left(spare, as));
    this.#starting = spare.start(shape, slot).finally(() => {
      this.#starting = undefined;
      this.#fillSoon(0);
    });
  }

  #left(spare: Spare, as: SpareEnd | "claimed"): void {
    this.#spares.delete(spare);
    if (as === "claimed") return;
    this.#unused.set(as, (this.#unused.get(as) ?? 0) + 1);
    const { id } = spare.fingerprint;
    if (as === "evicted") this.#notBefore = this.#now + delayOf(++this.#evictions, EVICTED);
    if (as === "failed") {
      const count = (this.#failures.get(id)?.count ?? 0) + 1;
      this.#failures.set(id, { count, notBefore: this.#now + delayOf(count, FAILED) });
    }
    this.#fillSoon(START_DELAY_MS);
  }
}

/** The delay after the `count`-th failure in a row, in milliseconds. */
function delayOf(count: number, backoff: Backoff): number {
  return backoffDelay(count + 1, backoff, () => 0);
}
