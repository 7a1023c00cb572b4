import { formatDuration } from "../../duration.ts";
import { CastellanError } from "../../errors.ts";
import type { SessionContext } from "../context/session-context.ts";
import { cancelled, exhausted, overdue } from "../context/turn-errors.ts";
import type { TurnSettings } from "../options/turn-options.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import type { Hold } from "./hold.ts";
import type { TurnStopping } from "./turn-stopping.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** The timeouts and abort signals of a session's turns. */
export class TurnWatches {
  readonly #context: SessionContext;
  readonly #hold: Hold;
  readonly #work: TurnsAtWork;
  readonly #stopping: TurnStopping;

  constructor(context: SessionContext, hold: Hold, work: TurnsAtWork, stopping: TurnStopping) {
    this.#context = context;
    this.#hold = hold;
    this.#work = work;
    this.#stopping = stopping;
  }

  /** Watches a turn until it ends. */
  begin(
    record: TurnRecord,
    { timeoutMs, queueTimeoutMs, signal }: Pick<TurnSettings, "timeoutMs" | "queueTimeoutMs" | "signal">,
  ): void {
    const clock = this.#context.clock;
    this.queue(record, queueTimeoutMs);
    if (timeoutMs !== undefined) {
      record.watch(
        clock.schedule(timeoutMs, () => {
          const state = record.state === "running" ? "and was stopped" : "and did not run";
          const spanMs = record.timeoutMs ?? timeoutMs;
          const message = `${this.#context.who}: the turn took longer than its timeout of ${formatDuration(spanMs)} ${state}.`;
          const details = { ...record.partial, timeoutMs: spanMs };
          this.#stopping.cut(record, "timed_out", new CastellanError("TURN_TIMEOUT", message, { details }));
        }),
      );
    }
    if (signal !== undefined) {
      const abort = (): void => this.#abort(record, signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      record.watch({ cancel: () => signal.removeEventListener("abort", abort) });
    }
  }

  /** Starts the queue timeout each time a turn enters the mailbox. */
  queue(record: TurnRecord, queueTimeoutMs: number): void {
    const { attempts } = record;
    const clock = this.#context.clock;
    record.watch(
      clock.schedule(queueTimeoutMs, () => {
        if (record.attempts === attempts) this.#expire(record, queueTimeoutMs);
        else record.overdue = attempts;
      }),
    );
  }

  /** Resumes the queue timeout of a turn that was put back, as if it had never left the mailbox. */
  putBack(record: TurnRecord): void {
    if (record.overdue === record.attempts) this.#expire(record, record.queueTimeoutMs);
  }

  #expire(record: TurnRecord, queueTimeoutMs: number): void {
    const { shortage } = this.#work;
    if (!this.#stopping.withdraw(record)) return;
    const { who } = this.#context;
    const error =
      shortage === undefined
        ? overdue(who, record, queueTimeoutMs, this.#hold.current)
        : exhausted(who, record, queueTimeoutMs, shortage);
    record.fail("timed_out", error);
  }

  #abort(record: TurnRecord, reason: unknown): void {
    if (record.state !== "running") {
      this.#stopping.cut(record, "cancelled", cancelled(this.#context.who, record, reason));
      return;
    }
    const message = `${this.#context.who}: the turn was stopped by its signal; \`details\` has what had arrived.`;
    const error = new CastellanError("TURN_INTERRUPTED", message, { details: record.partial, cause: reason });
    this.#stopping.cut(record, "interrupted", error);
  }
}
