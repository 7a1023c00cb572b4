import type { SessionName } from "../../names.ts";

/** By what such a name is known, also to another copy of this package. */
const REGISTERED: unique symbol = Symbol.for("castellan.registered-name.1");

/** Where a session is registered, for as long as it has its name. */
export interface RegisteredPlace {
  /** The session's own name; `undefined` if there can be none, because the registry has no name. */
  readonly name: SessionName | undefined;
  readonly registry: object;
  /** Registers the handle of the session. @returns takes it out again @throws CastellanError `KEY_ALREADY_REGISTERED` */
  enter(session: object): () => void;
}

/** Stands for the name of a session that is to be found in a registry of the application's own; made by `via`. */
export interface RegisteredName {
  readonly [REGISTERED]: RegisteredPlace;
}

/** Makes a {@link RegisteredName} of a place. */
export function registeredName(place: RegisteredPlace): RegisteredName {
  return { [REGISTERED]: place };
}

/** The place behind a name, if it is such a one. */
export function registeredPlaceOf(name: unknown): RegisteredPlace | undefined {
  return isRegisteredName(name) ? name[REGISTERED] : undefined;
}

function isRegisteredName(name: unknown): name is RegisteredName {
  return typeof name === "object" && name !== null && REGISTERED in name;
}
