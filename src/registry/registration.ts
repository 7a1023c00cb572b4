import { nameProblem } from "../names.ts";
import { invalidOptions } from "../session/options/validation.ts";

/**
 * The key of a value: a string, a number, or a tuple of them. Keys are compared by value, like names of sessions; `1`, `"1"` and
 * `[1]` are three different keys.
 */
export type RegistryKey = string | number | readonly [string | number, ...(string | number)[]];

/**
 * Returns the canonical form of a key: equal keys have the same form, different keys have different ones.
 *
 * @param who the registry, for messages
 * @throws CastellanError `INVALID_OPTIONS` for an invalid key
 */
export function canonical(key: RegistryKey, who: string): string {
  const parts: readonly unknown[] = Array.isArray(key) ? key : [key];
  // Keys have the parts of a name, whose first part must be a string.
  const problem = parts.length === 0 ? "an empty tuple" : nameProblem(["key", ...parts]);
  if (problem === undefined) return JSON.stringify(key);
  const message = `expected a string, a finite number or a tuple of them; this is ${problem}`;
  throw invalidOptions(who, [{ field: "key", message }]);
}

/** Returns the parts of a key. */
export function partsOf(key: RegistryKey): readonly (string | number)[] {
  return typeof key === "object" ? key : [key];
}

/** Data that the application attaches to a value. */
export type Metadata = Readonly<Record<string, unknown>>;

/** An entry of a registry. */
export interface RegistryEntry<Value> {
  readonly key: RegistryKey;
  readonly value: Value;
  readonly metadata: Metadata;
}

/** A registered value, as `register` returns it. Bind it with `using` to unregister it at the end of the scope. */
export class Registration<Value> implements RegistryEntry<Value>, Disposable {
  readonly key: RegistryKey;
  readonly value: Value;
  readonly #metadata: () => Metadata;
  readonly #leave: () => boolean;

  /** Called by a registry. */
  constructor(key: RegistryKey, value: Value, metadata: () => Metadata, leave: () => boolean) {
    this.key = key;
    this.value = value;
    this.#metadata = metadata;
    this.#leave = leave;
  }

  get metadata(): Metadata {
    return this.#metadata();
  }

  /** Unregisters the value. Returns whether this registration was still in effect. */
  unregister(): boolean {
    return this.#leave();
  }

  /** Same as {@link Registration.unregister}, for `using`. */
  [Symbol.dispose](): void {
    this.#leave();
  }
}
