import { WaitingLine } from "./waiting-line.ts";

/** The session or spare that holds a slot, as the capacity sees it. */
export interface SlotHolder {
  /**
   * Since when its process has been idle, on the monotonic clock. `undefined` while the process works, starts or stops, and if it
   * is pinned: such a holder cannot be asked for its slot.
   */
  readonly idleSince: number | undefined;
  /** Whether it wants the slot only for work of an earlier run of the application, for which nobody waits. */
  readonly resumes: boolean;
  /** Whether it wants the slot only ahead of work that may never come. It lets all others pass. */
  readonly ahead: boolean;
  /** Starts to end its process; the slot is released once the process is gone. Returns whether it does. */
  hibernate(): boolean;
}

/** The right to run one process. */
export interface Slot {
  /** Reports the memory of its process, in bytes. */
  measured(bytes: number): void;
  /** Reports that its holder ends the process by itself, so that no other holder needs to. */
  leaving(): void;
  /** Hands the slot and its process over to another holder. */
  transfer(holder: SlotHolder): void;
  /** Releases the slot once the process is proven to be gone. Idempotent. */
  release(): void;
}

/** A slot that is in use. */
interface TakenSlot {
  holder: SlotHolder;
  /** The memory of its process; an estimate until it is measured. */
  bytes: number;
  /** Whether its holder has been asked to hibernate and does. */
  leaving: boolean;
}

interface Waiter {
  readonly holder: SlotHolder;
  readonly granted: PromiseWithResolvers<Slot>;
}

/** The memory of a fresh Claude Code process. */
const FIRST_BYTES = 100 * 2 ** 20;

/**
 * Limits the processes of a supervisor. A slot is taken before a process starts and released once it is gone, so the limit holds
 * at every moment.
 *
 * At the limit, the holder that has been idle longest hibernates. If none is idle, requests wait in a {@link WaitingLine}. The memory
 * budget works the same way, except that memory is known only after a process has started: while the total exceeds the budget, no
 * further process starts.
 */
export class Capacity {
  /** Maximum number of processes; undefined without a limit. */
  readonly limit: number | undefined;
  /** The memory of all processes together, in bytes; undefined without a limit. */
  readonly budget: number | undefined;
  readonly #limit: number;
  readonly #budget: number;
  readonly #taken = new Set<TakenSlot>();
  readonly #line = new WaitingLine<Waiter>(({ holder }) => holder.resumes);

  /** @param budget the memory of all processes together, in bytes */
  constructor(limit?: number, budget?: number) {
    this.limit = limit;
    this.budget = budget;
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
    this.#budget = budget ?? Number.POSITIVE_INFINITY;
  }

  /** The number of slots in use. */
  get taken(): number {
    return this.#taken.size;
  }

  /** The memory of all processes, in bytes; undefined unless a memory budget has all of them measured. */
  get memory(): number | undefined {
    return this.measures ? this.#used : undefined;
  }

  /** Whether there is a memory budget. */
  get measures(): boolean {
    return this.budget !== undefined;
  }

  /** Why no slot is free: the process limit if it is reached (otherwise memory is short), and the number of busy holders. */
  get shortage(): { readonly maxProcesses?: number; readonly busy: number } {
    const busy = [...this.#taken].filter(({ holder }) => holder.idleSince === undefined).length;
    return { ...(this.#taken.size < this.#limit ? {} : { maxProcesses: this.#limit }), busy };
  }

  /** The number of waiting requests. */
  get waiting(): number {
    return this.#line.length;
  }

  /**
   * Says when this holder should give up its slot between two turns: if more requests wait than slots are about to be released, after
   * its share of time, or at once if it only resumes earlier work and others do not.
   */
  turnover({ resumes }: SlotHolder): "none" | "after share" | "at once" {
    // Every turn ends here, and most without a line.
    if (this.#line.length === 0) return "none";
    const leaving = this.#leaving;
    const present = this.#line.count(({ holder }) => !holder.ahead && !holder.resumes);
    if (resumes && present > leaving) return "at once";
    return this.#line.count(({ holder }) => !holder.ahead) > leaving ? "after share" : "none";
  }

  /** Whether a request that joined the line now would get a slot without waiting for a busy holder. */
  get offers(): boolean {
    if (this.#line.length === 0 && this.#hasRoom) return true;
    return this.#line.length < this.#leaving + this.#idle().length;
  }

  /** Returns a slot if one is free and nobody waits for it. */
  take(holder: SlotHolder): Slot | undefined {
    return this.#line.length === 0 && this.#hasRoom ? this.#grant(holder) : undefined;
  }

  /** Resolves with a slot once it is this holder's turn. Rejects with the signal's reason if the signal is aborted first. */
  async wait(holder: SlotHolder, signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    const free = this.take(holder);
    if (free !== undefined) return free;
    const waiter: Waiter = { holder, granted: Promise.withResolvers() };
    this.#line.join(waiter);
    const leave = (): void => {
      this.#line.leave(waiter);
      waiter.granted.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.rebalance();
    const slot = await waiter.granted.promise.finally(() => signal.removeEventListener("abort", leave));
    if (!signal.aborted) return slot;
    // The signal was aborted between the grant and here.
    slot.release();
    throw signal.reason;
  }

  /** Asks idle holders to hibernate, one for each waiting request. Call it when a holder becomes idle. */
  rebalance(): void {
    if (this.#line.length > 0) this.#evict(this.#line.length - this.#leaving);
  }

  /** The number of slots that are about to be released. */
  get #leaving(): number {
    let count = 0;
    for (const { leaving } of this.#taken) if (leaving) count += 1;
    return count;
  }

  /** Asks idle holders to hibernate until the memory fits the budget. Call it after all processes have been measured. */
  measured(): void {
    let excess = this.#used - this.#budget;
    for (const { leaving, bytes } of this.#taken) if (leaving) excess -= bytes;
    for (const slot of this.#idle()) {
      if (excess <= 0) break;
      slot.leaving = slot.holder.hibernate();
      if (slot.leaving) excess -= slot.bytes;
    }
    this.#admit();
  }

  /** Asks the holders that have been idle longest to hibernate. */
  #evict(count: number): void {
    if (count <= 0) return;
    for (const slot of this.#idle().slice(0, count)) slot.leaving = slot.holder.hibernate();
  }

  /** Returns the holders that can be asked to hibernate, the longest idle first. */
  #idle(): TakenSlot[] {
    return [...this.#taken]
      .flatMap((slot) => {
        const { idleSince } = slot.holder;
        return slot.leaving || idleSince === undefined ? [] : [{ slot, idleSince }];
      })
      .toSorted((one, other) => one.idleSince - other.idleSince)
      .map(({ slot }) => slot);
  }

  get #used(): number {
    return [...this.#taken].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get #hasRoom(): boolean {
    // One process is always allowed; otherwise a budget that is too small would stop all work.
    return this.#taken.size < this.#limit && (this.#taken.size === 0 || this.#used < this.#budget);
  }

  #grant(holder: SlotHolder): Slot {
    const slot: TakenSlot = { holder, bytes: FIRST_BYTES, leaving: false };
    this.#taken.add(slot);
    return {
      measured: (bytes) => {
        slot.bytes = bytes;
      },
      leaving: () => {
        slot.leaving = true;
      },
      transfer: (next) => {
        slot.holder = next;
        slot.leaving = false;
      },
      release: () => {
        if (this.#taken.delete(slot)) this.#admit();
      },
    };
  }

  #admit(): void {
    while (this.#hasRoom) {
      const next = this.#line.next(({ holder }) => !holder.ahead) ?? this.#line.next();
      if (next === undefined) return;
      next.granted.resolve(this.#grant(next.holder));
    }
  }
}
