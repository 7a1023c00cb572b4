import type { SessionName } from "../../names.ts";

/** The key of a registered name. Registered globally, so that all copies of this package share it. */
const REGISTERED: unique symbol = Symbol.for("castellan.registered-name.1");

/** The registry key under which a session is registered while it owns its name. */
export interface SessionRegistration {
  /** The session's own name; `undefined` if the registry has no name to derive it from. */
  readonly name: SessionName | undefined;
  readonly registry: object;
  /**
   * Registers the session's handle and returns a function that unregisters it. @throws CastellanError
   * `KEY_ALREADY_REGISTERED`
   */
  enter(session: object): () => void;
}

/** The name of a session that the application's own registry finds; made by `via`. */
export interface RegisteredName {
  readonly [REGISTERED]: SessionRegistration;
}

/** Makes a {@link RegisteredName}. */
export function registeredName(registration: SessionRegistration): RegisteredName {
  return { [REGISTERED]: registration };
}

/** Returns the registration behind a name made by `via`, or undefined. */
export function registrationOf(name: unknown): SessionRegistration | undefined {
  return isRegisteredName(name) ? name[REGISTERED] : undefined;
}

function isRegisteredName(name: unknown): name is RegisteredName {
  return typeof name === "object" && name !== null && REGISTERED in name;
}
