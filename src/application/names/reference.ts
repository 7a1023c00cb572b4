import { CastellanError } from "../../errors.ts";
import { formatName, type SessionName } from "../../names.ts";
import type { Pool } from "../../pool/pool.ts";
import type { TurnOptions } from "../../session/options/turn-options.ts";
import { isSession, type Session } from "../../session/session.ts";
import type { Reply } from "../../session/streams/reply.ts";
import type { Turn } from "../../session/streams/turn.ts";
import { registry } from "./registry.ts";

/** Registered symbols: another copy of this package recognises a reference, too. */
const PICK: unique symbol = Symbol.for("castellan.pick.1");
const ANSWER: unique symbol = Symbol.for("castellan.answer.1");

/** Runs the caller's turn on a session. */
export type Ask<Structured> = (session: SessionName | Session, options: TurnOptions<Structured>) => Turn<Structured>;

/** Produces a reply from one or several sessions. */
export type Answer = <Structured>(ask: Ask<Structured>, options: TurnOptions<Structured>) => Promise<Reply<Structured>>;

/** A reference that resolves to a session anew each time: made by a registry, a balancer or a fallback. */
export interface Picker {
  /** @throws CastellanError if there is no session to pick */
  [PICK](): SessionName | Session;
  /** Replies to a query, if a single session does not. */
  readonly [ANSWER]?: Answer;
}

/** A session by its name, by a handle, or by a {@link Picker}. */
export type SessionRef = SessionName | Session | Picker;

/** Makes a {@link Picker}. */
export function picker(pick: () => SessionName | Session, answer?: Answer): Picker {
  return answer === undefined ? { [PICK]: pick } : { [PICK]: pick, [ANSWER]: answer };
}

/** Resolves a reference to a name or a handle. @throws CastellanError if there is no session to pick */
export function resolveRef(reference: SessionRef): SessionName | Session {
  return isPicker(reference) ? reference[PICK]() : reference;
}

/** Runs a query on a reference. @throws CastellanError as the query of the session does */
export async function answerFrom<Structured>(
  reference: SessionRef,
  ask: Ask<Structured>,
  options: TurnOptions<Structured>,
): Promise<Reply<Structured>> {
  const answer = isPicker(reference) ? reference[ANSWER] : undefined;
  if (answer !== undefined) return await answer(ask, options);
  return await ask(resolveRef(reference), options).result();
}

/** Resolves a reference to a session of this process. @throws CastellanError `SESSION_NOT_FOUND` */
export function find(reference: SessionRef): Session {
  const session = resolveRef(reference);
  return isSession(session) ? session : registry.find(session);
}

/** Where a name is looked up: in this process, or in the tree of one supervisor. */
export interface NameLookup {
  pool(name: string): Pool | undefined;
  /** @throws CastellanError `SESSION_NOT_FOUND` */
  session(session: SessionName | Session): Session;
}

const IN_PROCESS: NameLookup = { pool: (name) => registry.pool(name), session: find };

/**
 * Returns the pool or the session that runs the turns of this name. Only a string can be the name of a pool.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`
 */
export function turnTarget(session: SessionName | Session, lookup: NameLookup = IN_PROCESS): Pool | Session {
  const pool = typeof session === "string" ? lookup.pool(session) : undefined;
  return pool ?? lookup.session(session);
}

function isPicker(reference: SessionRef): reference is Picker {
  // A value that is no name passes here: the lookup that follows rejects it.
  return typeof reference === "object" && reference !== null && PICK in reference;
}

/** Returns the error of a handle whose session has ended. Another session may have its name by now. */
export function staleHandleError({ name }: Session): CastellanError {
  return new CastellanError(
    "SESSION_STOPPED",
    `The session ${formatName(name)} that this handle is for has been stopped.`,
  );
}
