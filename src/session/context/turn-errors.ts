import { formatDuration } from "../../duration.ts";
import { CastellanError, type ErrorDetails, type ExitRecord } from "../../errors.ts";
import type { TurnHold } from "../status/session-state.ts";
import type { TurnRecord } from "../streams/turn-record.ts";

/** The capacity that a session lacks for a process, or for running a turn in it. */
export type CapacityShortage = Pick<ErrorDetails["CAPACITY_EXHAUSTED"], "maxProcesses" | "maxConcurrentTurns" | "busy">;

/** Returns the error of a turn that never ran. */
export function cancelled(who: string, record: TurnRecord, cause?: unknown): CastellanError<"TURN_CANCELLED"> {
  const message = `${who}: the turn was cancelled before it ran.`;
  return new CastellanError("TURN_CANCELLED", message, { details: { turnId: record.id }, cause });
}

/** Returns the error of a turn that was stopped. */
export function interrupted(who: string, record: TurnRecord): CastellanError<"TURN_INTERRUPTED"> {
  const message = `${who}: the turn was interrupted; \`details\` has what had arrived.`;
  return new CastellanError("TURN_INTERRUPTED", message, { details: record.partial });
}

/** Returns the error of a turn whose process ended before it did. `what` names the turn and its progress. */
export function cutBy(
  exit: ExitRecord,
  who: string,
  record: TurnRecord,
  what: string,
): CastellanError<"TURN_INTERRUPTED"> {
  const details = { ...record.partial, exit };
  return new CastellanError("TURN_INTERRUPTED", `${who}: ${what}: ${withoutStop(exit.message)}.`, { details });
}

/** Returns the error of a turn that exceeded its `queueTimeout`. `hold` is the current one, if any. */
export function overdue(
  who: string,
  { id: turnId }: TurnRecord,
  timeoutMs: number,
  hold: TurnHold | undefined,
): CastellanError<"QUEUE_TIMEOUT"> {
  const held =
    hold === undefined ? "" : `; turns are held back for ${hold.for} until ${new Date(hold.until).toISOString()}`;
  const span = formatDuration(timeoutMs);
  const message = `${who}: the turn waited ${span} in the mailbox, which is its \`queueTimeout\`; it did not run${held}.`;
  return new CastellanError("QUEUE_TIMEOUT", message, { details: { turnId, timeoutMs } });
}

/** Returns the error of a turn that exceeded its `queueTimeout` for lack of capacity. */
export function exhausted(
  who: string,
  { id }: TurnRecord,
  timeoutMs: number,
  shortage: CapacityShortage,
): CastellanError {
  const { maxProcesses, maxConcurrentTurns, busy } = shortage;
  const processes = maxProcesses === undefined ? "its memory" : `${maxProcesses} processes`;
  const [what, most] =
    maxConcurrentTurns === undefined
      ? ["for a process", `${processes}, and ${busy} were at work`]
      : ["for others to end", `${maxConcurrentTurns} turns at a time, and ${busy} ran`];
  const message = `${who}: the turn waited ${formatDuration(timeoutMs)} ${what}, which is its \`queueTimeout\`; the supervisor's capacity is ${most}. Raise \`capacity\`, or ask again later.`;
  return new CastellanError("CAPACITY_EXHAUSTED", message, { details: { turnId: id, timeoutMs, ...shortage } });
}

/** Removes the final full stop, so that the sentence fits inside another one. */
export function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}
