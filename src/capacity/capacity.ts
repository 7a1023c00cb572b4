/** A session that may have a process, as the capacity sees it. */
export interface SlotHolder {
  /**
   * Since when its process has had nothing to do, on the monotonic clock; `undefined` while it has, while it is coming up or
   * going, and if it is pinned. Only one that has can be asked to give its slot up.
   */
  readonly idleSince: number | undefined;
  /** Ends its process, and gives the slot back when that is gone. Whether it does. */
  hibernate(): boolean;
}

/** The right to have one process. */
export interface Slot {
  /** Its process uses so many bytes. */
  measured(bytes: number): void;
  /** It is another holder's from now on, with the process that is in it. */
  pass(holder: SlotHolder): void;
  /** Gives it back, when the process is proven to be gone. Does nothing the second time. */
  release(): void;
}

/** A slot that is taken. */
interface Tenure {
  holder: SlotHolder;
  /** What its process uses; before that is known, what one uses at the least. */
  bytes: number;
  /** Whether it has been asked for, and its holder is on the way out. */
  leaving: boolean;
}

interface Waiter {
  readonly holder: SlotHolder;
  readonly granted: PromiseWithResolvers<Slot>;
}

/** What a process of Claude Code uses that has done nothing yet. */
const FIRST_BYTES = 100 * 2 ** 20;

/**
 * How many processes a supervisor may have at a time. A slot is taken before a process is started and given back when it is
 * gone, so that there are never more, not for a moment.
 *
 * When all are taken, the holder that has been idle for longest gives its own up; when all are at work, whoever asks waits in
 * line, first come, first served. The same holds for memory, of which it is known only afterwards what a process uses: while
 * all together use more than they may, none is started beside others.
 */
export class Capacity {
  readonly #limit: number;
  readonly #budget: number;
  readonly #taken = new Set<Tenure>();
  readonly #queue: Waiter[] = [];

  /** `budget` is how much memory all may use together, in bytes. */
  constructor(limit: number = Number.POSITIVE_INFINITY, budget: number = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
    this.#budget = budget;
  }

  /** How many processes there are, or may be at this moment. */
  get taken(): number {
    return this.#taken.size;
  }

  /** Whether there is a limit to the memory. */
  get measures(): boolean {
    return Number.isFinite(this.#budget);
  }

  /** What keeps others from having a process: how many there may be, unless it is memory, and how many are at work. */
  get shortage(): { readonly maxProcesses?: number; readonly busy: number } {
    const busy = [...this.#taken].filter(({ holder }) => holder.idleSince === undefined).length;
    return { ...(this.#taken.size < this.#limit ? {} : { maxProcesses: this.#limit }), busy };
  }

  /** How many wait in line. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** A slot, if one is free and nobody waits for it. */
  take(holder: SlotHolder): Slot | undefined {
    return this.#queue.length === 0 && this.#room ? this.#grant(holder) : undefined;
  }

  /** A slot, as soon as it is this holder's turn. Rejects with the signal's reason if it is aborted before. */
  async wait(holder: SlotHolder, signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    const free = this.take(holder);
    if (free !== undefined) return free;
    const waiter: Waiter = { holder, granted: Promise.withResolvers() };
    this.#queue.push(waiter);
    const leave = (): void => {
      const index = this.#queue.indexOf(waiter);
      if (index !== -1) this.#queue.splice(index, 1);
      waiter.granted.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.rebalance();
    const slot = await waiter.granted.promise.finally(() => signal.removeEventListener("abort", leave));
    if (!signal.aborted) return slot;
    // Between the grant and here.
    slot.release();
    throw signal.reason;
  }

  /** Asks as many holders to leave as there are others that wait. To be called when one has become idle. */
  rebalance(): void {
    const leaving = [...this.#taken].filter((tenure) => tenure.leaving).length;
    this.#evict(this.#queue.length - leaving);
  }

  /** All processes have been measured: asks as many holders to leave as use what is too much. */
  measured(): void {
    let excess = this.#used - this.#budget;
    for (const { leaving, bytes } of this.#taken) if (leaving) excess -= bytes;
    for (const tenure of this.#idle()) {
      if (excess <= 0) break;
      tenure.leaving = tenure.holder.hibernate();
      if (tenure.leaving) excess -= tenure.bytes;
    }
    this.#admit();
  }

  /** Asks those that have been idle for longest to leave. */
  #evict(count: number): void {
    if (count <= 0) return;
    for (const tenure of this.#idle().slice(0, count)) tenure.leaving = tenure.holder.hibernate();
  }

  /** Those that can be asked to leave, the one that has been idle for longest first. */
  #idle(): Tenure[] {
    return [...this.#taken]
      .flatMap((tenure) => {
        const { idleSince } = tenure.holder;
        return tenure.leaving || idleSince === undefined ? [] : [{ tenure, idleSince }];
      })
      .toSorted((one, other) => one.idleSince - other.idleSince)
      .map(({ tenure }) => tenure);
  }

  get #used(): number {
    return [...this.#taken].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get #room(): boolean {
    // One there can always be, or nobody would get any further.
    return this.#taken.size < this.#limit && (this.#taken.size === 0 || this.#used < this.#budget);
  }

  #grant(holder: SlotHolder): Slot {
    const tenure: Tenure = { holder, bytes: FIRST_BYTES, leaving: false };
    this.#taken.add(tenure);
    return {
      measured: (bytes) => {
        tenure.bytes = bytes;
      },
      pass: (next) => {
        tenure.holder = next;
        tenure.leaving = false;
      },
      release: () => {
        if (this.#taken.delete(tenure)) this.#admit();
      },
    };
  }

  #admit(): void {
    while (this.#room) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      next.granted.resolve(this.#grant(next.holder));
    }
  }
}
