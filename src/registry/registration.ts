import { nameProblem } from "../names.ts";
import { invalidOptions } from "../session/options/validation.ts";

/**
 * What a value is registered under: a string, a number, or a tuple of them. Keys are compared by value, as names of sessions
 * are; `1`, `"1"` and `[1]` are three different keys.
 */
export type RegistryKey = string | number | readonly [string | number, ...(string | number)[]];

/**
 * The canonical form of a key: equal keys have equal ones, different keys different ones.
 *
 * @param who the registry, for messages
 * @throws CastellanError `INVALID_OPTIONS` if it is no key
 */
export function canonical(key: RegistryKey, who: string): string {
  const parts: readonly unknown[] = Array.isArray(key) ? key : [key];
  // The parts of a key are those of a name, in which a string comes first.
  const problem = parts.length === 0 ? "an empty tuple" : nameProblem(["key", ...parts]);
  if (problem === undefined) return JSON.stringify(key);
  const message = `expected a string, a finite number or a tuple of them; this is ${problem}`;
  throw invalidOptions(who, [{ field: "key", message }]);
}

/** The parts of a key, as a name has them. */
export function partsOf(key: RegistryKey): readonly (string | number)[] {
  return typeof key === "object" ? key : [key];
}

/** What an application says about something that it registers. */
export type Metadata = Readonly<Record<string, unknown>>;

/** What stands in a registry under a key. */
export interface RegistryEntry<Value> {
  readonly key: RegistryKey;
  readonly value: Value;
  readonly metadata: Metadata;
}

/** A value that was registered, for whoever registered it. It is taken out again with the scope that holds it. */
export class Registration<Value> implements RegistryEntry<Value>, Disposable {
  readonly key: RegistryKey;
  readonly value: Value;
  readonly #metadata: () => Metadata;
  readonly #leave: () => boolean;

  /** Made by a registry. */
  constructor(key: RegistryKey, value: Value, metadata: () => Metadata, leave: () => boolean) {
    this.key = key;
    this.value = value;
    this.#metadata = metadata;
    this.#leave = leave;
  }

  get metadata(): Metadata {
    return this.#metadata();
  }

  /** Takes the value out, if it is still there by this registration. Whether it was. */
  unregister(): boolean {
    return this.#leave();
  }

  /** As {@link Registration.unregister}, for `using`. */
  [Symbol.dispose](): void {
    this.#leave();
  }
}
