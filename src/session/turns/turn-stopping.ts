import { scheduleDeadline } from "../../claude/patience.ts";
import { formatDuration } from "../../duration.ts";
import type { CastellanError } from "../../errors.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { Signal } from "../context/session-signal.ts";
import { cancelled } from "../context/turn-errors.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import type { Mailbox } from "./mailbox.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** How long a process may take to end a stopped turn before it is killed. */
const YIELD_MS = 5_000;

/** Stops turns: removes waiting turns from the mailbox, and tells the process to stop the running one. */
export class TurnStopping {
  readonly #context: SessionContext;
  readonly #mailbox: Mailbox;
  readonly #work: TurnsAtWork;
  readonly #signal: Signal;

  constructor(context: SessionContext, mailbox: Mailbox, work: TurnsAtWork, signal: Signal) {
    this.#context = context;
    this.#mailbox = mailbox;
    this.#work = work;
    this.#signal = signal;
  }

  /** Stops a turn on its caller's request; resolves once it has ended. */
  async interrupt(record: TurnRecord): Promise<void> {
    if (this.withdraw(record)) record.fail("cancelled", cancelled(this.#context.who, record));
    else this.#stop(record);
    await record.result.catch(() => {});
    await record.recorded;
  }

  /** Stops the running turn, if any; resolves once it has ended. */
  async interruptCurrent(): Promise<void> {
    const { running } = this.#work;
    if (running !== undefined) await this.interrupt(running.record);
  }

  /**
   * Stops the running turn and cancels the waiting ones; resolves once all have ended and the process is done with
   * them.
   */
  async cancelAll(): Promise<void> {
    const { unprompted } = this.#work;
    // Cancel the waiting turns first, so that none of them begins.
    const waiting = [...this.#mailbox].map((record) => this.interrupt(record));
    if (unprompted.current !== undefined) waiting.push(this.interruptCurrent());
    if (this.#work.current !== undefined) waiting.push(this.interrupt(this.#work.current.record));
    await Promise.all(waiting);
    await this.#work.quiet();
  }

  /** Ends a turn for its caller at once and tells the process to stop. The next turn waits until the process has. */
  cut(record: TurnRecord, as: "timed_out" | "cancelled" | "interrupted", error: CastellanError): void {
    this.withdraw(record);
    record.fail(as, error);
    this.#stop(record);
  }

  /** Removes a turn from the mailbox. Returns whether it was there. */
  withdraw(record: TurnRecord): boolean {
    const waited = this.#mailbox.remove(record);
    // The session may have queued for a slot or a permit because of this turn.
    if (waited) this.#signal({ type: "next" });
    return waited;
  }

  /** Stops the running turn, because another one replaces it. */
  displace(rollback: boolean): void {
    const { current } = this.#work;
    if (current === undefined) return;
    if (rollback || current.displaced === undefined) current.displaced = rollback ? "rollback" : "interrupt";
    this.#stopCurrent(current);
  }

  /** The process has taken up the prompt of a turn that is being stopped, so it cannot be withdrawn any more. */
  begun(current: CurrentTurn): void {
    current.stopping?.cancel();
    current.stopping = scheduleDeadline(this.#context.clock, YIELD_MS, () => {
      const message = `it did not stop its turn within ${formatDuration(YIELD_MS)} of being told to`;
      void this.#work.activation?.kill({ class: "stalled", message });
    });
    // Otherwise the process would begin a turn with a message that nobody has read.
    for (const uuid of current.record.steers.outstanding) void this.#work.activation?.withdraw(uuid);
    // If the request fails, the process is dying or hangs; its exit or the timer then ends the turn.
    void this.#work.activation?.interrupt().catch(() => {});
  }

  /** Stops the turn if the process has it. */
  #stop(record: TurnRecord): void {
    const turns = [this.#work.current, this.#work.unprompted.current];
    const current = turns.find((turn) => turn?.record === record);
    if (current !== undefined) this.#stopCurrent(current);
  }

  #stopCurrent(current: CurrentTurn): void {
    if (current.stopping !== undefined || current.end !== undefined) return;
    if (current.begun || !this.#work.announces) this.begun(current);
    else void this.#takeBack(current);
  }

  /** Withdraws a prompt that the process has not begun, so that its current work continues. */
  async #takeBack(current: CurrentTurn): Promise<void> {
    current.stopping = { cancel: () => {} };
    const taken = await this.#work.activation?.withdraw(current.uuid);
    if (this.#work.current !== current) return;
    if (taken !== true) {
      // The prompt either begins just now, and is stopped then, or this Claude Code cannot withdraw prompts.
      if (!current.begun && !this.#work.unprompted.busy) this.begun(current);
      return;
    }
    const { record } = current;
    // The turn waits again and is then cancelled like one that never ran.
    this.#work.over(() => {
      record.requeued();
      record.fail("cancelled", cancelled(this.#context.who, record));
    });
  }
}
