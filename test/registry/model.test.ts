import fc from "fast-check";
import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { Registry, type RegistryKey } from "../../src/index.ts";
import type { Registration } from "../../src/registry/registration.ts";
import { settle } from "../supervision/simulated-clock.ts";

const KEYS: readonly RegistryKey[] = ["a", 1, "1", ["a"], ["a", 1]];
const VALUES = 3;
const SIGNALS = 2;

/** Something that happens. Numbers pick among what there is at that moment. */
type Step =
  | { readonly type: "register"; readonly key: number; readonly value: number; readonly signal: number }
  | { readonly type: "give_back"; readonly registration: number }
  | { readonly type: "unregister"; readonly key: number; readonly value: number | undefined }
  | { readonly type: "update"; readonly key: number; readonly value: number | undefined; readonly load: number }
  | { readonly type: "end"; readonly value: number }
  | { readonly type: "abort"; readonly signal: number };

const key = fc.nat(KEYS.length - 1);
const value = fc.nat(VALUES - 1);
const maybeValue = fc.option(value, { nil: undefined });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("register"), key, value, signal: fc.nat(SIGNALS + 2) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("give_back"), registration: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("unregister"), key, value: maybeValue }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("update"), key, value: maybeValue, load: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("end"), value }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("abort"), signal: fc.nat(SIGNALS - 1) }) },
);

/** Something that ends; another one takes its place then. */
class Thing {
  readonly end: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly closed: Promise<void> = this.end.promise;
}

/** What stands in the registry, as a plain list. */
interface Row {
  readonly key: number;
  readonly value: Thing;
  readonly signal: AbortSignal | undefined;
  readonly metadata: { load: number };
}

/** A registry and a list that is to say the same, moved together and compared after each step. */
class Pair {
  readonly #unique: boolean;
  readonly #registry: Registry<Thing>;
  #rows: Row[] = [];
  readonly #given: { readonly registration: Registration<Thing>; readonly row: Row }[] = [];
  readonly #things: Thing[] = Array.from({ length: VALUES }, () => new Thing());
  readonly #scopes: AbortController[] = Array.from({ length: SIGNALS }, () => new AbortController());

  constructor(unique: boolean) {
    this.#unique = unique;
    this.#registry = new Registry({ keys: unique ? "unique" : "duplicate" });
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case "register":
        this.#register(step);
        break;
      case "give_back": {
        const one = this.#given[step.registration % Math.max(1, this.#given.length)];
        if (one !== undefined) expect(one.registration.unregister()).toBe(this.#remove((row) => row === one.row) === 1);
        break;
      }
      case "unregister": {
        const removed = this.#remove(this.#meant(step));
        expect(this.#registry.unregister(keyAt(step.key), this.#thing(step.value))).toBe(removed);
        break;
      }
      case "update": {
        const rows = this.#rows.filter(this.#meant(step));
        for (const row of rows) row.metadata.load = step.load;
        const { key, load } = step;
        expect(this.#registry.updateMetadata(keyAt(key), { load }, this.#thing(step.value))).toBe(rows.length);
        break;
      }
      case "end": {
        const ended = this.#things.splice(step.value, 1, new Thing())[0];
        ended?.end.resolve();
        await settle();
        this.#remove((row) => row.value === ended);
        break;
      }
      case "abort": {
        const scope = this.#scopes.splice(step.signal, 1, new AbortController())[0];
        scope?.abort();
        this.#remove((row) => row.signal === scope?.signal);
        break;
      }
    }
    this.#compare();
  }

  #register({ key, value, signal: at }: Step & { readonly type: "register" }): void {
    const thing = this.#thing(value) ?? new Thing();
    const signal = this.#scopes[at]?.signal;
    const row: Row = { key, value: thing, signal, metadata: { load: 0 } };
    const options = { metadata: { load: 0 }, ...(signal === undefined ? {} : { signal }) };
    const taken = this.#unique && this.#rows.some((other) => other.key === key);
    try {
      const registration = this.#registry.register(keyAt(key), thing, options);
      expect(taken).toBe(false);
      this.#rows.push(row);
      this.#given.push({ registration, row });
    } catch (error) {
      if (!CastellanError.is(error, "KEY_ALREADY_REGISTERED")) throw error;
      expect(taken).toBe(true);
    }
  }

  #thing(at: number | undefined): Thing | undefined {
    return at === undefined ? undefined : this.#things[at];
  }

  #meant(step: { readonly key: number; readonly value: number | undefined }): (row: Row) => boolean {
    const thing = this.#thing(step.value);
    return (row) => row.key === step.key && (thing === undefined || row.value === thing);
  }

  #remove(gone: (row: Row) => boolean): number {
    const before = this.#rows.length;
    this.#rows = this.#rows.filter((row) => !gone(row));
    return before - this.#rows.length;
  }

  #compare(): void {
    for (const [at, key] of KEYS.entries()) {
      const rows = this.#rows.filter((row) => row.key === at);
      const entries = this.#registry.lookup(key);
      expect(entries).toEqual(rows.map(({ value, metadata }) => ({ key, value, metadata })));
      expect(entries.every(({ value }, place) => value === rows[place]?.value)).toBe(true);
      expect(this.#registry.count(key)).toBe(rows.length);
      if (this.#unique) expect(this.#registry.get(key)).toBe(rows[0]?.value);
    }
    for (const thing of this.#things) {
      const keys = this.#rows.filter((row) => row.value === thing).map((row) => keyAt(row.key));
      expect(byText(this.#registry.keysOf(thing))).toEqual(byText(keys));
    }
    expect(byText(this.#registry.keys())).toEqual(byText(this.#rows.map(({ key }) => keyAt(key))));
    expect(this.#registry.count()).toBe(this.#rows.length);
    const idle = this.#rows.filter(({ metadata }) => metadata.load === 0).length;
    expect(this.#registry.select({ load: 0 })).toHaveLength(idle);
    expect([...this.#registry]).toHaveLength(this.#rows.length);
  }
}

function keyAt(at: number): RegistryKey {
  return KEYS[at] ?? "a";
}

/** The different keys among these, in an order that does not depend on when each came. */
function byText(keys: readonly RegistryKey[]): string[] {
  return [...new Set(keys.map((key) => JSON.stringify(key)))].toSorted();
}

test("a registry says what a plain list would, whatever is registered, taken back, ended and aborted", async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (unique, steps) => {
      const pair = new Pair(unique);
      for (const one of steps) await pair.take(one);
    }),
    { numRuns: 200 },
  );
});
