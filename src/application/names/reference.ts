import { CastellanError } from "../../errors.ts";
import { formatName, type SessionName } from "../../names.ts";
import type { Pool } from "../../pool/pool.ts";
import type { TurnOptions } from "../../session/options/turn-options.ts";
import { isSession, type Session } from "../../session/session.ts";
import type { Reply } from "../../session/streams/reply.ts";
import type { Turn } from "../../session/streams/turn.ts";
import { registry } from "./registry.ts";

/** By what a reference is known, also to another copy of this package. */
const PICK: unique symbol = Symbol.for("castellan.pick.1");
const ANSWER: unique symbol = Symbol.for("castellan.answer.1");

/** Asks a session, in whichever way the caller does. */
export type Ask<Structured> = (session: SessionName | Session, options: TurnOptions<Structured>) => Turn<Structured>;

/** Sees to an answer of one or several sessions. */
export type Answer = <Structured>(ask: Ask<Structured>, options: TurnOptions<Structured>) => Promise<Reply<Structured>>;

/** Stands for a session that it picks anew each time that one is asked for: by a registry, a balancer, a pool. */
export interface Picker {
  /** @throws CastellanError if there is none to pick */
  [PICK](): SessionName | Session;
  /** How a query is answered, if not by the session that it picks alone. */
  readonly [ANSWER]?: Answer;
}

/** A session by its name, by a handle of it, or by what picks one. */
export type SessionRef = SessionName | Session | Picker;

/** Makes a {@link Picker} of a function, and of what sees to its answers, if something does. */
export function picker(pick: () => SessionName | Session, answer?: Answer): Picker {
  return answer === undefined ? { [PICK]: pick } : { [PICK]: pick, [ANSWER]: answer };
}

/** The name or the handle that a reference comes to. @throws CastellanError if there is none to pick */
export function picked(reference: SessionRef): SessionName | Session {
  return isPicker(reference) ? reference[PICK]() : reference;
}

/** The answer of what a reference comes to. @throws CastellanError what asking it throws, and how the turn can end */
export async function answered<Structured>(
  reference: SessionRef,
  ask: Ask<Structured>,
  options: TurnOptions<Structured>,
): Promise<Reply<Structured>> {
  const answer = isPicker(reference) ? reference[ANSWER] : undefined;
  if (answer !== undefined) return await answer(ask, options);
  return await ask(picked(reference), options).result();
}

/** The session that a reference comes to, whichever supervisor of this process holds it. @throws CastellanError `SESSION_NOT_FOUND` */
export function find(reference: SessionRef): Session {
  const session = picked(reference);
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
  // What is no name is told to be none by those who look for it.
  return typeof reference === "object" && reference !== null && PICK in reference;
}

/** What is told of a handle whose name is another session's by now, which must not be taken for the one that is meant. */
export function staleHandle({ name }: Session): CastellanError {
  return new CastellanError(
    "SESSION_STOPPED",
    `The session ${formatName(name)} that this handle is for has been stopped.`,
  );
}
