import { type Clock, systemClock } from "../clock.ts";
import { parseDuration } from "../duration.ts";
import { CastellanError, type ErrorCode, reworded } from "../errors.ts";
import type { SessionName } from "../names.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { isSession, type Session } from "../session/session.ts";
import type { Reply } from "../session/streams/reply.ts";
import type { Turn } from "../session/streams/turn.ts";
import { type Ask, type Picker, picker, resolveRef, type SessionRef, turnTarget } from "./names/reference.ts";

/** Errors on which another session can answer instead. */
const NO_ANSWER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "SESSION_NOT_FOUND",
  "SESSION_QUARANTINED",
  "SESSION_STOPPED",
  "SUPERVISOR_STOPPED",
  "SESSION_BUSY",
  "MAILBOX_FULL",
  "QUEUE_TIMEOUT",
  "CAPACITY_EXHAUSTED",
  "TEMPLATE_FULL",
  "POOL_EXHAUSTED",
  "BUDGET_EXCEEDED",
]);

/** API failures that are specific to a session: another one may have another key, account or model. */
const OF_THE_API: ReadonlySet<string> = new Set(["overload", "quota", "billing", "auth"]);

/**
 * Makes a reference to the first of several sessions or pools that can answer: a primary and its stand-ins. Accepted wherever a
 * name is.
 *
 * A `query` runs on the first session that is not held back by a usage limit, missing credit or an overload. The next one takes
 * over if that query fails before Claude began to answer or to act: because the session does not exist, has ended, is
 * quarantined, busy, full or over its budget, because its wait timed out, or because the API rejected it (overload, usage limit,
 * credit, key). Sessions that are held back come last, the one that is free soonest first. A query never moves on after the turn
 * had an effect, was interrupted by a caller, lost its process or timed out. The `timeout` of the call covers all tries together;
 * a session's own `timeout` covers its own.
 *
 * Other uses, such as `stream`, get the first session that is neither quarantined nor stopped nor held back; if there is none,
 * the one that is free soonest.
 *
 * When no session answers, the query rejects with the last error, whose `cause` is an `AggregateError` of all errors in order. A
 * fallback rejects an `idempotencyKey`: each session has its own keys, so a repeated call could be answered twice.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there are no sessions
 * @example
 * const { text } = await query(fallback(["reviewer", "reviewer-on-another-key"]), source, { timeout: "2m" });
 */
export function fallback(references: readonly SessionRef[]): Picker {
  return fallbackOn(references, systemClock);
}

/** Same as {@link fallback}, with the caller's clock. */
export function fallbackOn(references: readonly SessionRef[], clock: Clock): Picker {
  if (!Array.isArray(references) || references.length === 0) {
    const message = "expected an array of at least one session: names, handles or other references";
    throw invalidOptions("fallback", [{ field: "references", message }]);
  }
  const all: readonly SessionRef[] = [...references];
  return picker(
    () => pick(all),
    (ask, options) => answer(all, ask, options, clock),
  );
}

async function answer<Structured>(
  references: readonly SessionRef[],
  ask: Ask<Structured>,
  options: TurnOptions<Structured>,
  clock: Clock,
): Promise<Reply<Structured>> {
  if (options.idempotencyKey !== undefined) {
    const message = "cannot be used with a fallback: each session has its own keys. Query one session by its name";
    throw invalidOptions("fallback", [{ field: "idempotencyKey", message }]);
  }
  const limitMs = parseDuration(options.timeout);
  const until = limitMs === undefined ? undefined : clock.monotonic() + limitMs;
  const failures: CastellanError[] = [];
  for (const session of candidates(references, failures)) {
    const leftMs = until === undefined ? undefined : Math.ceil(until - clock.monotonic());
    const first = failures.length === 0;
    // No time is left for another session.
    if (!first && leftMs !== undefined && leftMs <= 0) break;
    let turn: Turn<Structured> | undefined;
    try {
      turn = ask(session, first || leftMs === undefined ? options : { ...options, timeout: leftMs });
      return await turn.result();
    } catch (error) {
      if (!isNoAnswer(error) || turn?.touched === true) throw error;
      failures.push(error);
    }
  }
  throw combined(failures);
}

/** Yields the sessions that may answer now, then those that are held back. Looks at each when its turn comes. */
function* candidates(references: readonly SessionRef[], failures: CastellanError[]): Generator<SessionName | Session> {
  const held: Held[] = [];
  for (const reference of references) {
    const session = resolve(reference, failures);
    if (session === undefined) continue;
    const until = isSession(session) ? heldUntil(session) : undefined;
    if (!isSession(session) || until === undefined) yield session;
    else held.push({ session, until });
  }
  yield* soonest(held);
}

function pick(references: readonly SessionRef[]): SessionName | Session {
  const failures: CastellanError[] = [];
  const held: Held[] = [];
  const out: Session[] = [];
  for (const reference of references) {
    const session = resolve(reference, failures);
    if (session === undefined) continue;
    if (!isSession(session)) return session;
    const { state } = session.status();
    const until = heldUntil(session);
    if (state === "quarantined" || state === "stopped") out.push(session);
    else if (until === undefined) return session;
    else held.push({ session, until });
  }
  // A session that takes no turns explains best why.
  const [first] = [...soonest(held), ...out];
  if (first === undefined) throw combined(failures);
  return first;
}

/** A session that is held back, and the end of its hold in milliseconds since the epoch. */
interface Held {
  readonly session: Session;
  readonly until: number;
}

function soonest(held: readonly Held[]): Session[] {
  return held.toSorted((one, other) => one.until - other.until).map(({ session }) => session);
}

/** Resolves a reference to a session or the name of a pool. Records a failure if there is none. */
function resolve(reference: SessionRef, failures: CastellanError[]): SessionName | Session | undefined {
  try {
    const target = turnTarget(resolveRef(reference));
    return "checkout" in target ? target.name : target;
  } catch (error) {
    if (!isNoAnswer(error)) throw error;
    failures.push(error);
    return undefined;
  }
}

function heldUntil(session: Session): number | undefined {
  const { waitingFor } = session.status();
  return waitingFor !== undefined && OF_THE_API.has(waitingFor.for) ? waitingFor.until : undefined;
}

function isNoAnswer(error: unknown): error is CastellanError {
  if (CastellanError.is(error, "TURN_FAILED")) return OF_THE_API.has(error.details.class);
  return CastellanError.is(error) && NO_ANSWER.has(error.code);
}

/** Returns the last of several errors, with all of them as its cause. */
function combined(failures: readonly CastellanError[]): CastellanError {
  const last = failures.at(-1);
  if (last === undefined) throw new TypeError("a fallback without failures");
  if (failures.length === 1) return last;
  const codes = failures.map(({ code }) => code).join(", ");
  const message = `None of the ${failures.length} sessions of this fallback answered (${codes}); the last: ${last.message}`;
  return reworded(last, message, new AggregateError(failures, message));
}
