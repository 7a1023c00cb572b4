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

/** Errors that say that this session does not answer now, and that another one may. */
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

/** What failures of the API's are this session's: another one may have another key, account or model. */
const OF_THE_API: ReadonlySet<string> = new Set(["overload", "quota", "billing", "auth"]);

/**
 * The first of several sessions, or pools, that can answer: a primary one and those that stand in for it. Accepted wherever a
 * name is.
 *
 * A `query` goes to the first whose turns are not held back for a limit of use, credit or an overload. If that fails before Claude
 * began to answer or to act, because the session does not exist, has ended, is quarantined, busy, full or over its budget, or has
 * waited in vain, or because the API refused (overload, limit of use, credit, key), the next one is asked; those that are held back
 * come last, the one that is free soonest first. A turn that had touched anything, that somebody stopped, whose process died
 * or whose `timeout` is over, is never asked again elsewhere. The `timeout` of the call is for all of them together; what a
 * session has as its own counts for itself.
 *
 * Whatever else takes a session, such as `stream`, gets the first that is neither quarantined nor stopped nor held back, or, if
 * there is none, that is free soonest.
 *
 * When none answers, the last error is thrown, with an `AggregateError` of all of them, in order, as its `cause`. An
 * `idempotencyKey` is refused: each session has keys of its own, so that the same call, made again, could be answered twice.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there are no sessions
 * @example
 * const { text } = await query(fallback(["reviewer", "reviewer-on-another-key"]), source, { timeout: "2m" });
 */
export function fallback(references: readonly SessionRef[]): Picker {
  return fallbackOn(references, systemClock);
}

/** As {@link fallback}, with a clock of the caller's. */
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
    const message = "cannot be given with a fallback; each session has keys of its own, so ask one session by its name";
    throw invalidOptions("fallback", [{ field: "idempotencyKey", message }]);
  }
  const limitMs = parseDuration(options.timeout);
  const until = limitMs === undefined ? undefined : clock.monotonic() + limitMs;
  const failures: CastellanError[] = [];
  for (const session of inOrder(references, failures)) {
    const leftMs = until === undefined ? undefined : Math.ceil(until - clock.monotonic());
    const first = failures.length === 0;
    // Nobody can do better in no time at all.
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
  throw together(failures);
}

/** Those that may answer now, then those that are held back; each looked at when its turn has come. */
function* inOrder(references: readonly SessionRef[], failures: CastellanError[]): Generator<SessionName | Session> {
  const held: Held[] = [];
  for (const reference of references) {
    const session = found(reference, failures);
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
    const session = found(reference, failures);
    if (session === undefined) continue;
    if (!isSession(session)) return session;
    const { state } = session.status();
    const until = heldUntil(session);
    if (state === "quarantined" || state === "stopped") out.push(session);
    else if (until === undefined) return session;
    else held.push({ session, until });
  }
  // One that takes no turns says best why.
  const [first] = [...soonest(held), ...out];
  if (first === undefined) throw together(failures);
  return first;
}

/** A session that is held back, and until when. */
interface Held {
  readonly session: Session;
  readonly until: number;
}

function soonest(held: readonly Held[]): Session[] {
  return held.toSorted((one, other) => one.until - other.until).map(({ session }) => session);
}

/** The session that a reference comes to, or the name of a pool. That there is none is one more failure. */
function found(reference: SessionRef, failures: CastellanError[]): SessionName | Session | undefined {
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

/** The last of several errors, with all of them behind it. */
function together(failures: readonly CastellanError[]): CastellanError {
  const last = failures.at(-1);
  if (last === undefined) throw new TypeError("a fallback without failures");
  if (failures.length === 1) return last;
  const codes = failures.map(({ code }) => code).join(", ");
  const message = `None of the ${failures.length} sessions of this fallback answered (${codes}); the last: ${last.message}`;
  return reworded(last, message, new AggregateError(failures, message));
}
