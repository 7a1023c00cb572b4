import type { Capacity, Slot, SlotHolder } from "../../capacity/capacity.ts";
import type { Timer } from "../../clock.ts";
import type { SessionContext } from "../context/session-context.ts";

/** How long a session may go from turn to turn while others wait for its slot. A start takes a third of a second. */
const SHARE_MS = 10_000;

/** What a slot has to know of its session at the moment that somebody else needs a slot. */
export interface SlotSession {
  /** Whether its process is up and has nothing to do at this moment, whether or not turns wait. */
  readonly between: boolean;
  readonly turnsWait: boolean;
  /** Ends its process, which has nothing to do. */
  hibernate(): void;
}

/** The slot of a session: taken before its process is started, given back when that is gone, and given up when it is idle. */
export class ProcessSlot implements SlotHolder {
  readonly #capacity: Capacity;
  readonly #context: SessionContext;
  readonly #session: SlotSession;
  #slot: Slot | undefined;
  /** Since when it has had the slot. */
  #since = 0;
  /** Since when there has been nothing to do, if there is nothing. */
  #restingSince = 0;
  #timer: Timer | undefined;
  #line: AbortController | undefined;

  constructor(context: SessionContext, capacity: Capacity, session: SlotSession) {
    this.#capacity = capacity;
    this.#context = context;
    this.#session = session;
  }

  get idleSince(): number | undefined {
    return this.idle && !this.#context.settings.pinned ? this.#restingSince : undefined;
  }

  /** Whether its process could be ended without anybody noticing. */
  get idle(): boolean {
    return this.#slot !== undefined && this.#session.between && !this.#session.turnsWait;
  }

  hibernate(): boolean {
    if (this.idleSince === undefined) return false;
    this.#session.hibernate();
    return true;
  }

  /** Its process uses so many bytes. */
  measured(bytes: number): void {
    this.#slot?.measured(bytes);
  }

  /** Takes a slot, if one is free. */
  take(): boolean {
    const slot = this.#capacity.take(this);
    if (slot !== undefined) this.#has(slot);
    return slot !== undefined;
  }

  /** Has a slot that was another holder's. */
  takeOver(slot: Slot): void {
    this.#has(slot);
  }

  /** Waits in line for a slot. Whether there is one; not if `signal` is aborted, or nobody wants it any more. */
  async wait(signal: AbortSignal): Promise<boolean> {
    this.#line = new AbortController();
    try {
      this.#has(await this.#capacity.wait(this, AbortSignal.any([signal, this.#line.signal])));
      return true;
    } catch {
      return false;
    } finally {
      this.#line = undefined;
    }
  }

  /** Waits no longer. */
  leaveLine(): void {
    this.#line?.abort();
  }

  /** The process is gone, or did not come up. */
  release(): void {
    this.#timer?.cancel();
    this.#slot?.release();
    this.#slot = undefined;
  }

  /** There may be nothing to do from now on; `anew` says whether there was until now. */
  rests({ anew }: { readonly anew: boolean }): void {
    this.#timer?.cancel();
    if (!this.idle) return;
    const now = this.#context.clock.monotonic();
    if (anew) this.#restingSince = now;
    const { pinned, idleTimeout: idleTimeoutMs } = this.#context.settings;
    if (!pinned && idleTimeoutMs !== undefined) {
      const leftMs = Math.max(0, this.#restingSince + idleTimeoutMs - now);
      this.#timer = this.#context.clock.schedule(leftMs, () => this.hibernate(), { background: true });
    }
    this.#capacity.rebalance();
  }

  /** A turn is over, and another one waits: it may have to let others go first. */
  turnEnded(): void {
    const longEnough = this.#context.clock.monotonic() - this.#since >= SHARE_MS;
    const { waiting } = this.#capacity;
    if (waiting > 0 && longEnough && !this.#context.settings.pinned && this.#session.between) this.#session.hibernate();
  }

  #has(slot: Slot): void {
    this.#slot = slot;
    this.#since = this.#context.clock.monotonic();
  }
}
