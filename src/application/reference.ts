import type { SessionName } from "../names.ts";
import { isSession, type Session } from "../session/session.ts";
import { registry } from "./registry.ts";

/** By what a reference is known, also to another copy of this package. */
const PICK: unique symbol = Symbol.for("castellan.pick.1");

/** Stands for a session that it picks anew each time that one is asked for: by a registry, a balancer, a pool. */
export interface Picker {
  /** @throws CastellanError if there is none to pick */
  [PICK](): SessionName | Session;
}

/** A session by its name, by a handle of it, or by what picks one. */
export type SessionRef = SessionName | Session | Picker;

/** Makes a {@link Picker} of a function. */
export function picker(pick: () => SessionName | Session): Picker {
  return { [PICK]: pick };
}

/** The name or the handle that a reference comes to. @throws CastellanError if there is none to pick */
export function picked(reference: SessionRef): SessionName | Session {
  return isPicker(reference) ? reference[PICK]() : reference;
}

/** The session that a reference comes to, whichever supervisor of this process holds it. @throws CastellanError `SESSION_NOT_FOUND` */
export function find(reference: SessionRef): Session {
  const session = picked(reference);
  return isSession(session) ? session : registry.find(session);
}

function isPicker(reference: SessionRef): reference is Picker {
  // What is no name is told to be none by those who look for it.
  return typeof reference === "object" && reference !== null && PICK in reference;
}
