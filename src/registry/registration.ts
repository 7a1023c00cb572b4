import type { RegistryKey } from "./registry-key.ts";

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
