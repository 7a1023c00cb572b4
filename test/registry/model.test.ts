import fc from "fast-check";
import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { Registry, type RegistryKey } from "../../src/index.ts";
import type { Registration } from "../../src/registry/registration.ts";
import { settle } from "../supervision/simulated-clock.ts";

const KEYS: readonly RegistryKey[] = ["a", 1, "1", ["a"], ["a", 1]];
const VALUES = 3;
const SIGNALS = 2;

/** A step of the test. Numbers pick among what exists at that moment. */
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

/** A value that ends, after which another one replaces it. */
class Resource {
  readonly end: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly closed: Promise<void> = this.end.promise;
}

/** A registration in the model. */
interface Row {
  readonly key: number;
  readonly value: Resource;
  readonly signal: AbortSignal | undefined;
  readonly metadata: { load: number };
}

/** A registry and its model, a plain list, which are compared after each step. */
class Pair {
  readonly #unique: boolean;
  readonly #registry: Registry<Resource>;
  #rows: Row[] = [];
  readonly #given: { readonly registration: Registration<Resource>; readonly row: Row }[] = [];
  readonly #resources: Resource[] = Array.from({ length: VALUES }, () => new Resource());
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
        expect(this.#registry.unregister(keyAt(step.key), this.#resource(step.value))).toBe(removed);
        break;
      }
      case "update": {
        const rows = this.#rows.filter(this.#meant(step));
        for (const row of rows) row.metadata.load = step.load;
        const { key, load } = step;
        expect(this.#registry.updateMetadata(keyAt(key), { load }, this.#resource(step.value))).toBe(rows.length);
        break;
      }
      case "end": {
        const ended = this.#resources.splice(step.value, 1, new Resource())[0];
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
    const resource = this.#resource(value) ?? new Resource();
    const signal = this.#scopes[at]?.signal;
    const row: Row = { key, value: resource, signal, metadata: { load: 0 } };
    const options = { metadata: { load: 0 }, ...(signal === undefined ? {} : { signal }) };
    const taken = this.#unique && this.#rows.some((other) => other.key === key);
    try {
      const registration = this.#registry.register(keyAt(key), resource, options);
      expect(taken).toBe(false);
      this.#rows.push(row);
      this.#given.push({ registration, row });
    } catch (error) {
      if (!CastellanError.is(error, "KEY_ALREADY_REGISTERED")) throw error;
      expect(taken).toBe(true);
    }
  }

  #resource(at: number | undefined): Resource | undefined {
    return at === undefined ? undefined : this.#resources[at];
  }

  #meant(step: { readonly key: number; readonly value: number | undefined }): (row: Row) => boolean {
    const resource = this.#resource(step.value);
    return (row) => row.key === step.key && (resource === undefined || row.value === resource);
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
    for (const resource of this.#resources) {
      const keys = this.#rows.filter((row) => row.value === resource).map((row) => keyAt(row.key));
      expect(byText(this.#registry.keysOf(resource))).toEqual(byText(keys));
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

/** The distinct keys, sorted. */
function byText(keys: readonly RegistryKey[]): string[] {
  return [...new Set(keys.map((key) => JSON.stringify(key)))].toSorted();
}

test("Registry: agrees with a list for any steps", async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (unique, steps) => {
      const pair = new Pair(unique);
      for (const one of steps) await pair.take(one);
    }),
    { numRuns: 200 },
  );
});
