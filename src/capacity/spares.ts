import { differencesOf, type Fingerprint, fingerprintOf, type Shape, spareMismatch } from "../claude/fingerprint.ts";
import type { Timer } from "../clock.ts";
import type { Capacity, SlotHolder } from "./capacity.ts";
import type { MemoryWatch } from "./memory-watch.ts";
import { type ClaimedSpare, Spare, type SpareDeps, type SpareEnd } from "./spare.ts";
import { SpareDemand, type Wanted } from "./spare-demand.ts";

/** How long after one was asked for the next one is started, so that it does not slow that down. */
const AFTER_MS = 500;

/** How long no spare is started after one had to give way to a session. */
const GIVE_WAY_MS = 30_000;

/** What has become of spares, and of those who asked for one. */
export interface SparesStatus {
  /** How many could be taken now. */
  readonly ready: number;
  /** How many are being started. */
  readonly starting: number;
  /** How many processes were not started because there was a spare. */
  readonly hits: number;
  /**
   * How many were started, by the reason: `conversation` (it has one to go on with), `own_directory`, `session_id`,
   * `session_store`, `setting_sources`, `plugins`, `start_hooks`, `in_process_mcp` (options that no spare can have), `none_ready`, or
   * `differs:` and the option in which the nearest spare was another one.
   */
  readonly misses: Readonly<Record<string, number>>;
  /** How many spares were never used, by the reason: `evicted`, `expired`, `failed`. */
  readonly unused: Readonly<Record<string, number>>;
}

/**
 * Processes that are started ahead, so that a conversation can begin without waiting for one. A spare is taken only in the
 * place of a process that would be started with exactly the same options, directories and environment, once, and never had a
 * conversation. As many are kept as were asked for at a time of late, within the limit, and only while no session needs the
 * room.
 */
export class Spares {
  readonly #limit: number;
  readonly #capacity: Capacity;
  readonly #memory: MemoryWatch | undefined;
  readonly #deps: SpareDeps;
  readonly #demand = new SpareDemand();
  readonly #spares = new Set<Spare>();
  readonly #misses = new Map<string, number>();
  readonly #unused = new Map<SpareEnd, number>();
  #hits = 0;
  #starting: Promise<void> | undefined;
  #timer: Timer | undefined;
  #notBefore = 0;
  #closed = false;

  /** @param limit how many there may be at a time */
  constructor(limit: number, capacity: Capacity, memory: MemoryWatch, deps: SpareDeps) {
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

  /** A process of this shape will be wanted more than once. */
  expect(shape: Shape): void {
    if (this.#off || spareMismatch(shape) !== undefined) return;
    this.#demand.expect(fingerprintOf(shape).id, shape, this.#now);
    this.#fillSoon(AFTER_MS);
  }

  /** A process in the place of one that would be started now, with its slot. @param begins whether its conversation does */
  claim(shape: Shape, begins: boolean, holder: SlotHolder): ClaimedSpare | undefined {
    if (this.#off || !begins || spareMismatch(shape) !== undefined) return undefined;
    const { id } = fingerprintOf(shape);
    for (const spare of this.#spares) {
      const claimed = spare.fingerprint.id === id ? spare.claim(holder) : undefined;
      if (claimed === undefined) continue;
      this.#hits++;
      this.#asked(id, shape);
      return claimed;
    }
    return undefined;
  }

  /** A process is started, since no spare was there. @param begins whether its conversation does */
  missed(shape: Shape, begins: boolean): void {
    if (this.#off) return;
    const mismatch = begins ? spareMismatch(shape) : "conversation";
    const fingerprint = mismatch === undefined ? fingerprintOf(shape) : undefined;
    const reason = fingerprint === undefined ? mismatch : this.#reason(fingerprint);
    if (reason !== undefined) this.#misses.set(reason, (this.#misses.get(reason) ?? 0) + 1);
    if (fingerprint !== undefined) this.#asked(fingerprint.id, shape);
  }

  /** Puts others in the place of those that nobody can use any more, since the environment is another one by now. */
  renew(): void {
    if (this.#off) return;
    this.#demand.rekey((shape) => fingerprintOf(shape).id);
    this.#fillSoon(0);
  }

  /** Ends them; resolves when they are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all([...this.#spares].map((spare) => spare.discard("closed")));
  }

  get #off(): boolean {
    return this.#closed || this.#limit === 0;
  }

  get #now(): number {
    return this.#deps.clock.monotonic();
  }

  #asked(id: string, shape: Shape): void {
    this.#demand.note(id, shape, this.#now);
    this.#fillSoon(AFTER_MS);
  }

  #reason(fingerprint: Fingerprint): string {
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

  /** Starts one that is missing, one after the other, and ends those that nobody asks for any more. */
  #fill(): void {
    if (this.#closed || this.#starting !== undefined) return;
    const now = this.#now;
    if (now < this.#notBefore) {
      this.#fillSoon(this.#notBefore - now);
      return;
    }
    const wanted = this.#demand.wanted(now);
    for (const spare of this.#spares) {
      if (!wanted.some(({ id }) => id === spare.fingerprint.id)) void spare.discard("expired");
    }
    const missing = wanted.find(({ id, count }) => this.#countOf(id) < count);
    if (missing !== undefined && this.#spares.size < this.#limit) this.#start(missing);
  }

  #countOf(id: string): number {
    return [...this.#spares].filter(({ fingerprint }) => fingerprint.id === id).length;
  }

  #start({ id, shape }: Wanted): void {
    const fingerprint = fingerprintOf(shape);
    // The environment or a directory is another one by now, and so will be what is asked for.
    if (fingerprint.id !== id) {
      this.#demand.forget(id);
      this.#fillSoon(AFTER_MS);
      return;
    }
    const spare = new Spare(fingerprint, this.#memory, this.#deps);
    const slot = this.#capacity.take(spare);
    if (slot === undefined) {
      this.#fillSoon(GIVE_WAY_MS);
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
    if (as === "evicted") this.#notBefore = this.#now + GIVE_WAY_MS;
    // What does not come up is not tried again before it has been asked for again.
    if (as === "failed") this.#demand.forget(spare.fingerprint.id);
    this.#fillSoon(AFTER_MS);
  }
}
