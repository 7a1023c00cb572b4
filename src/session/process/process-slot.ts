import type { Capacity, Slot, SlotHolder } from "../../capacity/capacity.ts";
import type { Timer } from "../../clock.ts";
import type { SessionContext } from "../context/session-context.ts";

/** How long a session may run turn after turn while others wait for its slot. A start takes a third of a second. */
const SHARE_MS = 10_000;

/** What a slot asks its session when another holder needs a slot. */
export interface SlotSession {
  /** Whether the process is up and idle at this moment, whether or not turns wait. */
  readonly between: boolean;
  readonly turnsWait: boolean;
  /** Whether all that waits for the process are turns of an earlier run of the application. */
  readonly resumes: boolean;
  /** Whether the process is only wanted ahead of a turn that may never come. */
  readonly ahead: boolean;
  /** Ends the idle process. */
  hibernate(): void;
}

/**
 * The slot of a session: taken before its process starts, released once that is gone, and given up while it is idle.
 */
export class ProcessSlot implements SlotHolder {
  readonly #capacity: Capacity;
  readonly #context: SessionContext;
  readonly #session: SlotSession;
  #slot: Slot | undefined;
  /** When it got the slot. */
  #since = 0;
  /** When the process became idle, if it is. */
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

  get resumes(): boolean {
    return this.#session.resumes;
  }

  get ahead(): boolean {
    return this.#session.ahead;
  }

  /** Whether the process could end without anybody noticing. */
  get idle(): boolean {
    return this.#slot !== undefined && this.#session.between && !this.#session.turnsWait;
  }

  hibernate(): boolean {
    if (this.idleSince === undefined) return false;
    this.#session.hibernate();
    return true;
  }

  /** Reports the memory use of the process, in bytes. */
  measured(bytes: number): void {
    this.#slot?.measured(bytes);
  }

  /** Takes a slot if one is free. Returns whether it did. */
  take(): boolean {
    const slot = this.#capacity.take(this);
    if (slot !== undefined) this.#has(slot);
    return slot !== undefined;
  }

  /** Takes over another holder's slot. */
  takeOver(slot: Slot): void {
    this.#has(slot);
  }

  /** Queues for a slot. Returns whether it got one; false if `signal` is aborted or `leaveLine` is called. */
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

  /** Stops queueing. */
  leaveLine(): void {
    this.#line?.abort();
  }

  /** Releases the slot, because the process is gone or its start failed. */
  release(): void {
    this.#timer?.cancel();
    this.#slot?.release();
    this.#slot = undefined;
  }

  /** Checks whether the process is idle; `anew` restarts its idle time. */
  checkIdle({ anew }: { readonly anew: boolean }): void {
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

  /**
   * Gives up the slot between two turns, if others wait and this session has had its share. Turns of an earlier run of the application
   * have none as long as somebody waits for another session.
   */
  turnEnded(): void {
    if (this.#slot === undefined || this.#context.settings.pinned || !this.#session.between) return;
    const due = this.#capacity.turnover(this);
    if (due === "none") return;
    if (due === "after share" && this.#context.clock.monotonic() - this.#since < SHARE_MS) return;
    this.#slot.leaving();
    this.#session.hibernate();
  }

  #has(slot: Slot): void {
    this.#slot = slot;
    this.#since = this.#context.clock.monotonic();
  }
}
