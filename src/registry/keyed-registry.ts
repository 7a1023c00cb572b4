import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { type Clock, systemClock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { type Duration, formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { durationSchema, invalidOptions, validate } from "../session/options/validation.ts";
import type { Session } from "../session/session.ts";
import { canonical, type Metadata, Registration, type RegistryEntry, type RegistryKey } from "./registration.ts";

export interface RegistryOptions {
  /** Whether a key has at most one value, or any number. */
  keys: "unique" | "duplicate";
  /** The name of the registry in messages, and the first part of the names of sessions named with `via`. Default: none. */
  name?: string;
}

export interface RegisterOptions {
  /** Data about the value. Default: none. */
  metadata?: Metadata;
  /** Aborting it unregisters the value. */
  signal?: AbortSignal;
}

export interface WhenRegisteredOptions {
  /** How long to wait. Default `"30s"`. */
  timeout?: Duration;
  /** Aborting it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A caller that waits for a key. */
interface Waiter<Value> {
  tell(value: Value): void;
}

/** An entry with its canonical key and the removal of its signal listener. */
interface StoredEntry<Value> {
  readonly canonicalKey: string;
  entry: RegistryEntry<Value>;
  readonly unlisten: () => void;
}

const optionsSchema = z.strictObject({ keys: z.enum(["unique", "duplicate"]), name: z.string().min(1).optional() });

const metadataSchema = z.custom<Metadata>(isPlain, "expected a plain object");

const registerSchema = z.strictObject({
  metadata: metadataSchema.optional(),
  signal: z
    .instanceof(AbortSignal)
    .refine((signal) => !signal.aborted, "is already aborted, which would unregister the value at once")
    .optional(),
});

const waitSchema = z.strictObject({
  timeout: durationSchema.default(30_000),
  signal: z.instanceof(AbortSignal).optional(),
});

/**
 * Finds values by keys of the application's own, as Elixir's `Registry` does: sessions, see `via`, or any other value. A registry
 * belongs to this process and is not journaled.
 *
 * Entries disappear by themselves when their value ends: a session for good, or a supervisor, worker or other object with a
 * promise `closed` or `exited`; or when the `signal` given to `register` is aborted. A session that hibernates, restarts, is
 * quarantined or is evicted by its template stays.
 *
 * @example
 * const agents = new Registry({ keys: "unique", name: "agents" });
 * agents.register("reviewer", session("assistant"), { metadata: { team: "core" } });
 * await query(via(agents, "reviewer"), "Review this function: …");
 */
export class Registry<Value = Session> {
  readonly name: string | undefined;
  readonly kind: "unique" | "duplicate";
  readonly #who: string;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Set<StoredEntry<Value>>>();
  readonly #byValue = new Map<Value, Set<StoredEntry<Value>>>();
  /** Values whose end is already awaited: once each, however often they are registered. */
  readonly #followed = new WeakSet<object>();
  readonly #waiting = new Map<string, Set<Waiter<Value>>>();

  /**
   * @param clock for tests. Default: the system clock
   * @throws CastellanError `INVALID_OPTIONS`
   */
  constructor(options: RegistryOptions, clock: Clock = systemClock) {
    const { keys, name } = validate(optionsSchema, options, "registry");
    this.name = name;
    this.kind = keys;
    this.#who = name === undefined ? "registry" : `registry ${JSON.stringify(name)}`;
    this.#clock = clock;
  }

  /**
   * Registers a value under a key.
   *
   * @throws CastellanError `KEY_ALREADY_REGISTERED` if keys are unique and this one is taken; `INVALID_OPTIONS`
   */
  register(key: RegistryKey, value: Value, options: RegisterOptions = {}): Registration<Value> {
    const canonicalKey = canonical(key, this.#who);
    const { metadata = {}, signal } = validate(registerSchema, options, `${this.#who}, key ${canonicalKey}`);
    if (this.kind === "unique" && this.#byKey.has(canonicalKey)) throw this.#alreadyRegistered(key, canonicalKey);
    // Copied, since the caller may change them later.
    const kept = typeof key === "object" ? ([...key] satisfies RegistryKey) : key;
    const leave = (): boolean => this.#remove(stored);
    const stored: StoredEntry<Value> = {
      canonicalKey,
      entry: { key: kept, value, metadata: { ...metadata } },
      unlisten: () => signal?.removeEventListener("abort", leave),
    };
    signal?.addEventListener("abort", leave, { once: true });
    put(this.#byKey, canonicalKey, stored);
    put(this.#byValue, value, stored);
    this.#follow(value);
    for (const waiter of this.#waiting.get(canonicalKey) ?? []) waiter.tell(value);
    return new Registration(kept, value, () => stored.entry.metadata, leave);
  }

  /**
   * Unregisters all values under a key, or only `value`.
   *
   * @returns the number of removed entries
   * @throws CastellanError `INVALID_OPTIONS` for an invalid key
   */
  unregister(key: RegistryKey, value?: Value): number {
    return this.#entriesOf(key, value).filter((stored) => this.#remove(stored)).length;
  }

  /** Returns all entries under a key, in order of registration. @throws CastellanError `INVALID_OPTIONS` for an invalid key */
  lookup(key: RegistryKey): RegistryEntry<Value>[] {
    return this.#entriesOf(key).map(({ entry }) => entry);
  }

  /**
   * Returns the value under a unique key. @throws CastellanError `INVALID_OPTIONS` for an invalid key, or if keys are not unique
   */
  get(key: RegistryKey): Value | undefined {
    if (this.kind === "unique") return this.#entriesOf(key)[0]?.entry.value;
    const message = "a key can have several values in this registry; use `lookup`";
    throw invalidOptions(this.#who, [{ field: "get", message }]);
  }

  /** Returns the keys that have values, each once. */
  keys(): RegistryKey[] {
    return [...this.#byKey.values()].flatMap((entries) => firstKey(entries));
  }

  /** Returns the keys of a value, each once. */
  keysOf(value: Value): RegistryKey[] {
    const entries = this.#byValue.get(value) ?? new Set();
    const keys = new Map([...entries].map(({ canonicalKey, entry }) => [canonicalKey, entry.key]));
    return [...keys.values()];
  }

  /**
   * Returns the entries that match, in the order in which their keys were first registered.
   *
   * @param wanted a predicate, or the metadata that entries must have, compared by value
   * @example
   * agents.select({ team: "core" });
   * agents.select(({ key }) => typeof key === "string" && key.startsWith("review"));
   */
  select(wanted: Metadata | ((entry: RegistryEntry<Value>) => boolean)): RegistryEntry<Value>[] {
    if (typeof wanted === "function") return [...this].filter((entry) => wanted(entry));
    const fields = Object.entries(validate(metadataSchema, wanted, this.#who, "select"));
    return [...this].filter(({ metadata }) =>
      fields.every(([field, value]) => Object.hasOwn(metadata, field) && isDeepStrictEqual(metadata[field], value)),
    );
  }

  /** Returns the number of values, in all or under a key. @throws CastellanError `INVALID_OPTIONS` for an invalid key */
  count(key?: RegistryKey): number {
    if (key !== undefined) return this.#entriesOf(key).length;
    return [...this.#byKey.values()].reduce((sum, entries) => sum + entries.size, 0);
  }

  /** Yields all entries, in the order in which their keys were first registered. */
  *[Symbol.iterator](): IterableIterator<RegistryEntry<Value>> {
    for (const entries of this.#byKey.values()) for (const { entry } of entries) yield entry;
  }

  /**
   * Updates the metadata of all values under a key, or of `value` only.
   *
   * @param change fields to set, or a function from the current to the new metadata
   * @returns the number of updated entries
   * @throws CastellanError `INVALID_OPTIONS`
   */
  updateMetadata(key: RegistryKey, change: Metadata | ((metadata: Metadata) => Metadata), value?: Value): number {
    const entries = this.#entriesOf(key, value);
    const made = entries.map(({ entry: { metadata } }) => {
      const changed = typeof change === "function" ? change(metadata) : change;
      const checked = validate(metadataSchema, changed, this.#who, "metadata");
      return typeof change === "function" ? checked : { ...metadata, ...checked };
    });
    for (const [at, stored] of entries.entries()) stored.entry = { ...stored.entry, metadata: made[at] ?? {} };
    return entries.length;
  }

  /**
   * Resolves with the first value under a key, once there is one.
   *
   * @throws CastellanError `REGISTRATION_TIMEOUT`; `INVALID_OPTIONS`; the signal's reason if it is aborted
   */
  async whenRegistered(key: RegistryKey, options: WhenRegisteredOptions = {}): Promise<Value> {
    const canonicalKey = canonical(key, this.#who);
    const { timeout, signal } = validate(waitSchema, options, `${this.#who}, key ${canonicalKey}`);
    signal?.throwIfAborted();
    const [present] = this.#entriesOf(key);
    if (present !== undefined) return present.entry.value;
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const aborted = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", aborted, { once: true });
    const waiter: Waiter<Value> = { tell: resolve };
    put(this.#waiting, canonicalKey, waiter);
    try {
      return await withDeadline(this.#clock, timeout, promise, () => {
        throw this.#timedOut(key, canonicalKey, timeout);
      });
    } finally {
      signal?.removeEventListener("abort", aborted);
      drop(this.#waiting, canonicalKey, waiter);
    }
  }

  #entriesOf(key: RegistryKey, value?: Value): StoredEntry<Value>[] {
    const entries = [...(this.#byKey.get(canonical(key, this.#who)) ?? [])];
    return value === undefined ? entries : entries.filter(({ entry }) => Object.is(entry.value, value));
  }

  #remove(stored: StoredEntry<Value>): boolean {
    if (!drop(this.#byKey, stored.canonicalKey, stored)) return false;
    drop(this.#byValue, stored.entry.value, stored);
    stored.unlisten();
    return true;
  }

  /** Unregisters the value when it ends. */
  #follow(value: Value): void {
    const ending = endOf(value);
    if (ending === undefined || typeof value !== "object" || value === null || this.#followed.has(value)) return;
    this.#followed.add(value);
    const ended = (): void => {
      this.#followed.delete(value);
      for (const stored of [...(this.#byValue.get(value) ?? [])]) this.#remove(stored);
    };
    ending.then(ended, ended);
  }

  #alreadyRegistered(key: RegistryKey, canonicalKey: string): CastellanError<"KEY_ALREADY_REGISTERED"> {
    const message = `${this.#who} already has a value under ${canonicalKey}. Unregister that value first, or choose another key.`;
    return new CastellanError("KEY_ALREADY_REGISTERED", message, { details: { registry: this.name, key } });
  }

  #timedOut(key: RegistryKey, canonicalKey: string, timeoutMs: number): CastellanError<"REGISTRATION_TIMEOUT"> {
    const message = `Nothing was registered under ${canonicalKey} in ${this.#who} within ${formatDuration(timeoutMs)}.`;
    return new CastellanError("REGISTRATION_TIMEOUT", message, { details: { registry: this.name, key, timeoutMs } });
  }
}

function firstKey<Value>(entries: ReadonlySet<StoredEntry<Value>>): RegistryKey[] {
  return [...entries].slice(0, 1).map(({ entry }) => entry.key);
}

function put<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): void {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set.add(item));
}

/** Returns whether the item was present. Removes an empty set. */
function drop<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): boolean {
  const set = sets.get(key);
  const present = set?.delete(item) ?? false;
  if (set?.size === 0) sets.delete(key);
  return present;
}

function isPlain(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Returns the promise that settles when `value` ends, if it has one: `closed` of sessions and supervisors, or `exited` of
 * children.
 */
function endOf(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { closed, exited } = value as { readonly closed?: unknown; readonly exited?: unknown };
  return [closed, exited].find(isPromise);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
