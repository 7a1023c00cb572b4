import { CastellanError } from "../errors.ts";
import { didYouMean, nearMisses, type SessionName } from "../names.ts";
import type { Registry } from "../registry/keyed-registry.ts";
import { canonical, partsOf, type RegistryKey } from "../registry/registration.ts";
import { type RegisteredName, registeredName } from "../session/options/registered-name.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { Session } from "../session/session.ts";
import { type Picker, picker, resolveRef, type SessionRef } from "./names/reference.ts";

/** A reference to the session under a key of a registry; also the name of a session that is to be registered there. */
export type Via = Picker & RegisteredName;

/**
 * Refers to the session under a key of a registry. The key is looked up at each use; a value that is a reference is resolved in
 * turn. Accepted wherever a name is. Using it throws `SESSION_NOT_FOUND` if nothing is registered under the key.
 *
 * As the `name` of a new session it registers that session for as long as its supervisor has it, and names it
 * `[registry.name, ...key]`, so that a restarted application finds the conversation again.
 *
 * @throws CastellanError `INVALID_OPTIONS` for an invalid key, or if the keys of the registry are not unique
 * @example
 * const agents = new Registry({ keys: "unique", name: "agents" });
 * await Supervisor.start([{ name: via(agents, "reviewer") }]);
 * await query(via(agents, "reviewer"), "Review this function: …");
 */
export function via<Value extends SessionRef>(
  registry: Registry<Value>,
  key: RegistryKey,
): Session extends Value ? Via : Picker;
export function via(registry: Registry<SessionRef>, key: RegistryKey): Via {
  const who = registry.name === undefined ? "a registry" : `registry ${JSON.stringify(registry.name)}`;
  const form = canonical(key, "via");
  if (registry.kind !== "unique") {
    const message = `${who} can have several sessions under ${form}; use a balancer, or a registry with \`keys: "unique"\``;
    throw invalidOptions("via", [{ field: "registry", message }]);
  }
  let picking = false;
  const pick = (): SessionName | Session => {
    const found = registry.get(key);
    if (found === undefined) throw notRegistered(registry, who, form);
    if (picking) throw invalidOptions("via", [{ field: "key", message: `${form} in ${who} refers to itself` }]);
    picking = true;
    try {
      return resolveRef(found);
    } finally {
      picking = false;
    }
  };
  const { name } = registry;
  const registered = {
    name: name === undefined ? undefined : ([name, ...partsOf(key)] as const),
    registry,
    enter: (session: Session): (() => void) => {
      const registration = registry.register(key, session);
      return () => void registration.unregister();
    },
  };
  return { ...picker(pick), ...registeredName(registered) };
}

function notRegistered(registry: Registry<SessionRef>, who: string, form: string): CastellanError<"SESSION_NOT_FOUND"> {
  const near = nearMisses(
    form,
    registry.keys().map((key) => JSON.stringify(key)),
  );
  const message = `Nothing is registered under ${form} in ${who}${didYouMean(near) || "."}`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: near } });
}
