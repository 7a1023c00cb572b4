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
  /** Whether a key has one value at a time, or any number of them. */
  keys: "unique" | "duplicate";
  /** Stands in messages, and at the beginning of the names of sessions that are named by `via`. Default: none. */
  name?: string;
}

export interface RegisterOptions {
  /** What is to be known of the value besides itself. Default: nothing. */
  metadata?: Metadata;
  /** Aborting it takes the value out. */
  signal?: AbortSignal;
}

export interface WhenRegisteredOptions {
  /** How long it is waited. Default `"30s"`. */
  timeout?: Duration;
  /** Aborting it ends the wait, with the signal's reason. */
  signal?: AbortSignal;
}

/** Somebody who waits for a key. */
interface Waiter<Value> {
  tell(value: Value): void;
}

/** A value in its place, and what takes it out of there. */
interface StoredEntry<Value> {
  readonly form: string;
  entry: RegistryEntry<Value>;
  readonly unlisten: () => void;
}

const optionsSchema = z.strictObject({ keys: z.enum(["unique", "duplicate"]), name: z.string().min(1).optional() });

const metadataSchema = z.custom<Metadata>(isPlain, "expected a plain object");

const registerSchema = z.strictObject({
  metadata: metadataSchema.optional(),
  signal: z
    .instanceof(AbortSignal)
    .refine((signal) => !signal.aborted, "has already been aborted, which would take the value out at once")
    .optional(),
});

const waitSchema = z.strictObject({
  timeout: durationSchema.default(30_000),
  signal: z.instanceof(AbortSignal).optional(),
});

/**
 * Finds things by keys of the application's own, as Elixir's `Registry` does: sessions, see `via`, or whatever else an
 * application has. It is of this process, and nothing of it is kept in the journal.
 *
 * What has ended is taken out by itself: a session that has ended for good, a supervisor, a worker or anything else that has a
 * promise `closed` or `exited`, and what was registered with a `signal` that is aborted. A session that only hibernates, is
 * restarted, quarantined or let go by its template stays.
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
  /** Values whose end is waited for, so that it is waited for once, however often each is registered. */
  readonly #followed = new WeakSet<object>();
  readonly #waiting = new Map<string, Set<Waiter<Value>>>();

  /**
   * @param clock for tests. Default: the machine's
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
   * Puts a value under a key.
   *
   * @throws CastellanError `KEY_ALREADY_REGISTERED` if keys are unique and this one is taken; `INVALID_OPTIONS`
   */
  register(key: RegistryKey, value: Value, options: RegisterOptions = {}): Registration<Value> {
    const form = canonical(key, this.#who);
    const { metadata = {}, signal } = validate(registerSchema, options, `${this.#who}, key ${form}`);
    if (this.kind === "unique" && this.#byKey.has(form)) throw this.#taken(key, form);
    // Whoever gave them may change them later.
    const kept = typeof key === "object" ? ([...key] satisfies RegistryKey) : key;
    const leave = (): boolean => this.#take(stored);
    const stored: StoredEntry<Value> = {
      form,
      entry: { key: kept, value, metadata: { ...metadata } },
      unlisten: () => signal?.removeEventListener("abort", leave),
    };
    signal?.addEventListener("abort", leave, { once: true });
    put(this.#byKey, form, stored);
    put(this.#byValue, value, stored);
    this.#follow(value);
    for (const waiter of this.#waiting.get(form) ?? []) waiter.tell(value);
    return new Registration(kept, value, () => stored.entry.metadata, leave);
  }

  /**
   * Takes out what stands under a key, or of that only `value`.
   *
   * @returns how many there were
   * @throws CastellanError `INVALID_OPTIONS` if it is no key
   */
  unregister(key: RegistryKey, value?: Value): number {
    return this.#under(key, value).filter((stored) => this.#take(stored)).length;
  }

  /** All that stands under a key, in the order in which it was registered. @throws CastellanError `INVALID_OPTIONS` if it is no key */
  lookup(key: RegistryKey): RegistryEntry<Value>[] {
    return this.#under(key).map(({ entry }) => entry);
  }

  /** The value under a key, where keys are unique. @throws CastellanError `INVALID_OPTIONS` if they are not, or it is no key */
  get(key: RegistryKey): Value | undefined {
    if (this.kind === "unique") return this.#under(key)[0]?.entry.value;
    const message = "a key may have many values here; use `lookup`";
    throw invalidOptions(this.#who, [{ field: "get", message }]);
  }

  /** The keys under which something stands, each once. */
  keys(): RegistryKey[] {
    return [...this.#byKey.values()].flatMap((entries) => firstKey(entries));
  }

  /** The keys under which this value stands, each once. */
  keysOf(value: Value): RegistryKey[] {
    const entries = this.#byValue.get(value) ?? new Set();
    const keys = new Map([...entries].map(({ form, entry }) => [form, entry.key]));
    return [...keys.values()];
  }

  /**
   * The entries that are as asked, in the order in which their keys came.
   *
   * @param wanted tells of an entry whether it is, or is what its metadata have to have, compared by value
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

  /** How many values stand in it, or under a key. @throws CastellanError `INVALID_OPTIONS` if it is no key */
  count(key?: RegistryKey): number {
    if (key !== undefined) return this.#under(key).length;
    return [...this.#byKey.values()].reduce((sum, entries) => sum + entries.size, 0);
  }

  /** All entries, in the order in which their keys came. */
  *[Symbol.iterator](): IterableIterator<RegistryEntry<Value>> {
    for (const entries of this.#byKey.values()) for (const { entry } of entries) yield entry;
  }

  /**
   * Changes what is known of the values under a key, or of `value` only.
   *
   * @param change fields to be set, or a function that makes the metadata of those that there are
   * @returns how many there were
   * @throws CastellanError `INVALID_OPTIONS`
   */
  updateMetadata(key: RegistryKey, change: Metadata | ((metadata: Metadata) => Metadata), value?: Value): number {
    const entries = this.#under(key, value);
    const made = entries.map(({ entry: { metadata } }) => {
      const changed = typeof change === "function" ? change(metadata) : change;
      const checked = validate(metadataSchema, changed, this.#who, "metadata");
      return typeof change === "function" ? checked : { ...metadata, ...checked };
    });
    for (const [at, stored] of entries.entries()) stored.entry = { ...stored.entry, metadata: made[at] ?? {} };
    return entries.length;
  }

  /**
   * Resolves with the first value under a key: at once if there is one, or as soon as there is.
   *
   * @throws CastellanError `REGISTRATION_TIMEOUT`; `INVALID_OPTIONS`; the signal's reason if that is aborted
   */
  async whenRegistered(key: RegistryKey, options: WhenRegisteredOptions = {}): Promise<Value> {
    const form = canonical(key, this.#who);
    const { timeout, signal } = validate(waitSchema, options, `${this.#who}, key ${form}`);
    signal?.throwIfAborted();
    const [present] = this.#under(key);
    if (present !== undefined) return present.entry.value;
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const aborted = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", aborted, { once: true });
    const waiter: Waiter<Value> = { tell: resolve };
    put(this.#waiting, form, waiter);
    try {
      return await withDeadline(this.#clock, timeout, promise, () => {
        throw this.#late(key, form, timeout);
      });
    } finally {
      signal?.removeEventListener("abort", aborted);
      drop(this.#waiting, form, waiter);
    }
  }

  #under(key: RegistryKey, value?: Value): StoredEntry<Value>[] {
    const entries = [...(this.#byKey.get(canonical(key, this.#who)) ?? [])];
    return value === undefined ? entries : entries.filter(({ entry }) => Object.is(entry.value, value));
  }

  #take(stored: StoredEntry<Value>): boolean {
    if (!drop(this.#byKey, stored.form, stored)) return false;
    drop(this.#byValue, stored.entry.value, stored);
    stored.unlisten();
    return true;
  }

  /** Takes the value out when it has ended. */
  #follow(value: Value): void {
    const ending = endingOf(value);
    if (ending === undefined || typeof value !== "object" || value === null || this.#followed.has(value)) return;
    this.#followed.add(value);
    const ended = (): void => {
      this.#followed.delete(value);
      for (const stored of [...(this.#byValue.get(value) ?? [])]) this.#take(stored);
    };
    ending.then(ended, ended);
  }

  #taken(key: RegistryKey, form: string): CastellanError<"KEY_ALREADY_REGISTERED"> {
    const message = `${this.#who} already has a value under ${form}; unregister that one first, or choose another key.`;
    return new CastellanError("KEY_ALREADY_REGISTERED", message, { details: { registry: this.name, key } });
  }

  #late(key: RegistryKey, form: string, timeoutMs: number): CastellanError<"REGISTRATION_TIMEOUT"> {
    const message = `Nothing was registered under ${form} in ${this.#who} within ${formatDuration(timeoutMs)}.`;
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

/** Whether it was there. A set that is empty is not kept. */
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
 * The promise by which `value` tells that it has ended, if it has one: `closed`, as sessions and supervisors have, or
 * `exited`, as children have.
 */
function endingOf(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { closed, exited } = value as { readonly closed?: unknown; readonly exited?: unknown };
  return [closed, exited].find(isPromise);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
