import type { Clock } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ErrorDetails } from "../errors.ts";
import type { Wait } from "./hold.ts";
import type { TurnSettings } from "./turn-options.ts";
import type { TurnRecord } from "./turn-record.ts";

/** What keeps a session from having a process, or from running a turn in it. */
export type CapacityLack = Pick<ErrorDetails["CAPACITY_EXHAUSTED"], "maxProcesses" | "maxConcurrentTurns" | "busy">;

/** What the watches over turns ask of their dispatcher. */
export interface WatchEvents {
  /** Ends a turn for its caller at once. */
  cut(record: TurnRecord, as: "timed_out" | "cancelled" | "interrupted", error: CastellanError): void;
  /** Takes a turn out of the mailbox. Whether it was there. */
  waits(record: TurnRecord): boolean;
  /** What turns are held back for, if they are. */
  held(): Wait | undefined;
  /** What keeps its turns from running, if it is room. */
  lacks(): CapacityLack | undefined;
}

/** Watches the clock and the signals for the turns of a session. */
export class TurnWatches {
  readonly #who: string;
  readonly #clock: Clock;
  readonly #events: WatchEvents;

  constructor(who: string, clock: Clock, events: WatchEvents) {
    this.#who = who;
    this.#clock = clock;
    this.#events = events;
  }

  /** Watches a turn until it ends. */
  begin(
    record: TurnRecord,
    { timeoutMs, queueTimeoutMs, signal }: Pick<TurnSettings, "timeoutMs" | "queueTimeoutMs" | "signal">,
  ): void {
    const clock = this.#clock;
    this.queue(record, queueTimeoutMs);
    if (timeoutMs !== undefined) {
      record.watch(
        clock.schedule(timeoutMs, () => {
          const state = record.state === "running" ? "and was stopped" : "and did not run";
          const spanMs = record.timeoutMs ?? timeoutMs;
          const message = `${this.#who}: the turn took longer than its timeout of ${formatDuration(spanMs)} ${state}.`;
          const details = { ...record.partial, timeoutMs: spanMs };
          this.#events.cut(record, "timed_out", new CastellanError("TURN_TIMEOUT", message, { details }));
        }),
      );
    }
    if (signal !== undefined) {
      const abort = (): void => this.#abort(record, signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      record.watch({ cancel: () => signal.removeEventListener("abort", abort) });
    }
  }

  /** Counts anew each time that the turn comes into the mailbox. */
  queue(record: TurnRecord, queueTimeoutMs: number): void {
    const { attempts } = record;
    const clock = this.#clock;
    record.watch(
      clock.schedule(queueTimeoutMs, () => {
        if (record.attempts === attempts) this.#expire(record, queueTimeoutMs);
        else record.overdue = attempts;
      }),
    );
  }

  /** Goes on counting for a turn that is in the mailbox again as if it had not left it. */
  putBack(record: TurnRecord): void {
    if (record.overdue === record.attempts) this.#expire(record, record.queueTimeoutMs);
  }

  #expire(record: TurnRecord, queueTimeoutMs: number): void {
    const lack = this.#events.lacks();
    if (!this.#events.waits(record)) return;
    if (lack !== undefined) {
      record.fail("timed_out", exhausted(this.#who, record, queueTimeoutMs, lack));
      return;
    }
    const wait = this.#events.held();
    const held =
      wait === undefined ? "" : `; turns are held back for ${wait.for} until ${new Date(wait.until).toISOString()}`;
    const span = formatDuration(queueTimeoutMs);
    const message = `${this.#who}: the turn waited ${span} in the mailbox, which is its \`queueTimeout\`; it did not run${held}.`;
    const details = { turnId: record.id, timeoutMs: queueTimeoutMs };
    record.fail("timed_out", new CastellanError("QUEUE_TIMEOUT", message, { details }));
  }

  #abort(record: TurnRecord, reason: unknown): void {
    if (record.state !== "running") {
      this.#events.cut(record, "cancelled", cancelled(this.#who, record, reason));
      return;
    }
    const message = `${this.#who}: the turn was stopped by its signal; \`details\` has what had arrived.`;
    const error = new CastellanError("TURN_INTERRUPTED", message, { details: record.partial, cause: reason });
    this.#events.cut(record, "interrupted", error);
  }
}

/** The error of a turn for which there was no room. */
function exhausted(who: string, { id }: TurnRecord, timeoutMs: number, lack: CapacityLack): CastellanError {
  const { maxProcesses, maxConcurrentTurns, busy } = lack;
  const processes = maxProcesses === undefined ? "its memory" : `${maxProcesses} processes`;
  const [what, most] =
    maxConcurrentTurns === undefined
      ? ["for a process", `${processes}, and ${busy} were at work`]
      : ["for others to end", `${maxConcurrentTurns} turns at a time, and ${busy} ran`];
  const message = `${who}: the turn waited ${formatDuration(timeoutMs)} ${what}, which is its \`queueTimeout\`; the supervisor's capacity is ${most}. Raise \`capacity\`, or ask again later.`;
  return new CastellanError("CAPACITY_EXHAUSTED", message, { details: { turnId: id, timeoutMs, ...lack } });
}

/** The error of a turn that never ran. */
export function cancelled(who: string, record: TurnRecord, cause?: unknown): CastellanError<"TURN_CANCELLED"> {
  const message = `${who}: the turn was cancelled before it ran.`;
  return new CastellanError("TURN_CANCELLED", message, { details: { turnId: record.id }, cause });
}
