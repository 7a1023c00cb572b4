import { describe, expect, expectTypeOf, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { Registry, type RegistryKey } from "../../src/index.ts";
import { failure, thrown } from "../session-on-fake/scene.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";

/** A value that ends. */
class Connection {
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly closed: Promise<void> = this.#closed.promise;

  close(): void {
    this.#closed.resolve();
  }

  break(): void {
    this.#closed.reject(new Error("broken"));
  }
}

describe("Registry with unique keys", () => {
  test("rejects a second value for a key with KEY_ALREADY_REGISTERED", async () => {
    const registry = new Registry<string>({ keys: "unique", name: "agents" });
    registry.register(["user", 1], "a");
    const taken = await thrown(() => registry.register(["user", 1], "a"), "KEY_ALREADY_REGISTERED");
    expect(taken.details).toEqual({ registry: "agents", key: ["user", 1] });
    expect(taken.message).toContain('registry "agents"');
    expect(taken.message).toContain('["user",1]');
    expect(registry.get(["user", 1])).toBe("a");
    expect(registry.get("nobody")).toBeUndefined();
    expect(registry.count()).toBe(1);
  });

  test("compares keys by value and type", () => {
    const registry = new Registry<number>({ keys: "unique" });
    const keys: RegistryKey[] = ["1", 1, [1], ["1"], ["a", 1], ["a", "1"], [1, "a"]];
    for (const [at, key] of keys.entries()) registry.register(key, at);
    for (const [at, key] of keys.entries()) expect(registry.get(structuredClone(key))).toBe(at);
    expect(registry.keys()).toEqual(keys);
  });

  test("copies keys and metadata", () => {
    const registry = new Registry<string>({ keys: "unique" });
    const key: [string, number] = ["a", 1];
    const metadata = { team: "core" };
    registry.register(key, "x", { metadata });
    key[1] = 2;
    metadata.team = "other";
    expect(registry.lookup(["a", 1])).toEqual([{ key: ["a", 1], value: "x", metadata: { team: "core" } }]);
  });
});

describe("Registry with duplicate keys", () => {
  test("keeps all values of a key in order, and a value as often as it was registered", () => {
    const registry = new Registry<string>({ keys: "duplicate" });
    registry.register("topic", "a", { metadata: { at: 1 } });
    registry.register("topic", "b");
    registry.register("topic", "a", { metadata: { at: 2 } });
    registry.register("other", "a");
    expect(registry.lookup("topic").map(({ value, metadata }) => [value, metadata])).toEqual([
      ["a", { at: 1 }],
      ["b", {}],
      ["a", { at: 2 }],
    ]);
    expect(registry.keysOf("a")).toEqual(["topic", "other"]);
    expect(registry.keysOf("nobody")).toEqual([]);
    expect(registry.count()).toBe(4);
    expect(registry.count("topic")).toBe(3);
    expect(registry.unregister("topic", "a")).toBe(2);
    expect(registry.lookup("topic").map(({ value }) => value)).toEqual(["b"]);
    expect(registry.unregister("topic")).toBe(1);
    expect(registry.unregister("topic")).toBe(0);
    expect(registry.keys()).toEqual(["other"]);
  });

  test("rejects get(), which needs a single value", async () => {
    const registry = new Registry<string>({ keys: "duplicate" });
    expect((await thrown(() => registry.get("topic"), "INVALID_OPTIONS")).message).toContain("lookup");
  });
});

describe("Registration", () => {
  test("unregisters once, and never a later registration of the key", () => {
    const registry = new Registry<string>({ keys: "unique" });
    const first = registry.register("a", "x");
    expect(first.unregister()).toBe(true);
    const second = registry.register("a", "x", { metadata: { of: "second" } });
    expect(first.unregister()).toBe(false);
    first[Symbol.dispose]();
    expect(registry.get("a")).toBe("x");
    expect(second).toMatchObject({ key: "a", value: "x", metadata: { of: "second" } });
  });

  test("ends with its `using` block", () => {
    const registry = new Registry<string>({ keys: "unique" });
    {
      using _ = registry.register("a", "x");
      expect(registry.count()).toBe(1);
    }
    expect(registry.count()).toBe(0);
  });
});

describe("Registry metadata", () => {
  test("are selected by fields or by a function", async () => {
    const registry = new Registry<string>({ keys: "unique" });
    registry.register("a", "x", { metadata: { team: "core", tags: ["fast"] } });
    registry.register("b", "y", { metadata: { team: "core", tags: [] } });
    registry.register("c", "z");
    const keys = (entries: { readonly key: RegistryKey }[]): RegistryKey[] => entries.map(({ key }) => key);
    expect(keys(registry.select({ team: "core" }))).toEqual(["a", "b"]);
    expect(keys(registry.select({ team: "core", tags: ["fast"] }))).toEqual(["a"]);
    expect(keys(registry.select({ team: undefined }))).toEqual([]);
    expect(keys(registry.select({}))).toEqual(["a", "b", "c"]);
    expect(keys(registry.select(({ value }) => value > "x"))).toEqual(["b", "c"]);
    expect([...registry].map(({ value }) => value)).toEqual(["x", "y", "z"]);
    // @ts-expect-error: input of an untyped caller
    await thrown(() => registry.select("core"), "INVALID_OPTIONS");
  });

  test("are updated for one value or for all values of a key, or for none when an update fails", async () => {
    const registry = new Registry<string>({ keys: "duplicate" });
    const one = registry.register("a", "x", { metadata: { load: 1, team: "core" } });
    const other = registry.register("a", "y", { metadata: { load: 5 } });
    expect(registry.updateMetadata("a", { load: 2 }, "x")).toBe(1);
    expect(one.metadata).toEqual({ load: 2, team: "core" });
    expect(registry.updateMetadata("a", ({ load }) => ({ load: Number(load) + 1 }))).toBe(2);
    expect([one.metadata, other.metadata]).toEqual([{ load: 3 }, { load: 6 }]);
    expect(registry.updateMetadata("b", { load: 0 })).toBe(0);
    // @ts-expect-error: input of an untyped caller
    const wrong = (): number => registry.updateMetadata("a", ({ load }) => (load === 6 ? [] : { load: 0 }));
    await thrown(wrong, "INVALID_OPTIONS");
    expect([one.metadata, other.metadata]).toEqual([{ load: 3 }, { load: 6 }]);
  });
});

describe("Registry, ended values", () => {
  test("are removed under all keys when `closed` settles", async () => {
    const registry = new Registry<Connection>({ keys: "duplicate" });
    const [one, other] = [new Connection(), new Connection()];
    for (const key of ["a", "b", "a"]) registry.register(key, one);
    registry.register("a", other);
    one.close();
    await settle();
    expect([...registry].map(({ value }) => value)).toEqual([other]);
    other.break();
    await settle();
    expect(registry.count()).toBe(0);
  });

  test("are removed after they were unregistered and registered again", async () => {
    const registry = new Registry<Connection>({ keys: "unique" });
    const connection = new Connection();
    registry.register("a", connection).unregister();
    registry.register("b", connection);
    connection.close();
    await settle();
    expect(registry.count()).toBe(0);
    registry.register("b", connection);
    await settle();
    expect(registry.count()).toBe(0);
  });

  test("are removed when `exited` settles", async () => {
    const registry = new Registry<{ readonly exited: Promise<unknown> }>({ keys: "unique" });
    const { promise: exited, resolve } = Promise.withResolvers();
    registry.register("worker", { exited });
    resolve({ reason: "normal" });
    await settle();
    expect(registry.keys()).toEqual([]);
  });

  test("are removed on an abort of the signal, which keeps no listener", async () => {
    const registry = new Registry<object>({ keys: "unique" });
    const scope = new AbortController();
    const listeners = new Set<unknown>();
    const { addEventListener: add, removeEventListener: remove } = scope.signal;
    scope.signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners.add(args[1]);
      add.apply(scope.signal, args);
    };
    scope.signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners.delete(args[1]);
      remove.apply(scope.signal, args);
    };
    registry.register("a", { closed: true }, { signal: scope.signal }).unregister();
    expect(listeners.size).toBe(0);
    registry.register("a", {}, { signal: scope.signal });
    registry.register("b", {}, { signal: scope.signal });
    registry.unregister("b");
    expect(listeners.size).toBe(1);
    scope.abort();
    expect(registry.count()).toBe(0);
    const late = await thrown(() => registry.register("a", {}, { signal: scope.signal }), "INVALID_OPTIONS");
    expect(late.message).toContain("already aborted");
  });
});

describe("Registry.whenRegistered()", () => {
  const scene = (): { clock: SimulatedClock; registry: Registry<string> } => {
    const clock = new SimulatedClock();
    return { clock, registry: new Registry<string>({ keys: "unique", name: "agents" }, clock) };
  };

  test("resolves with the present or the first value, for all waiters", async () => {
    const { clock, registry } = scene();
    registry.register("a", "x");
    expect(await registry.whenRegistered("a")).toBe("x");
    const both = [registry.whenRegistered(["b", 1]), registry.whenRegistered(["b", 1], { timeout: "1h" })];
    expect(clock.timers).toBe(2);
    registry.register(["b", 2], "no");
    registry.register(["b", 1], "y").unregister();
    registry.register(["b", 1], "z");
    expect(await Promise.all(both)).toEqual(["y", "y"]);
    expect(clock.timers).toBe(0);
  });

  test("rejects with REGISTRATION_TIMEOUT, after 30 seconds by default", async () => {
    const { clock, registry } = scene();
    const short = failure(registry.whenRegistered("a", { timeout: "2s" }), "REGISTRATION_TIMEOUT");
    const usual = failure(registry.whenRegistered("a"), "REGISTRATION_TIMEOUT");
    await clock.advance(2_000);
    const error = await short;
    expect(error.details).toEqual({ registry: "agents", key: "a", timeoutMs: 2_000 });
    expect(error.message).toContain('"a" in registry "agents" within 2s');
    expect(clock.timers).toBe(1);
    await clock.advance(28_000);
    expect((await usual).details.timeoutMs).toBe(30_000);
    expect(clock.timers).toBe(0);
  });

  test("rejects on its signal, and leaves no timer behind", async () => {
    const { clock, registry } = scene();
    const scope = new AbortController();
    const waiting = registry.whenRegistered("a", { signal: scope.signal });
    const reason = new Error("enough");
    scope.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(registry.whenRegistered("a", { signal: scope.signal })).rejects.toBe(reason);
    expect(clock.timers).toBe(0);
    registry.register("a", "x");
    expect(await registry.whenRegistered("a")).toBe("x");
  });
});

test("Registry: rejects wrong options and keys with INVALID_OPTIONS", async () => {
  // @ts-expect-error: input of an untyped caller
  expect((await thrown(() => new Registry({ keys: "uniqe" }), "INVALID_OPTIONS")).message).toContain("unique");
  // @ts-expect-error: as above
  const unknown = await thrown(() => new Registry({ keys: "unique", nmae: "a" }), "INVALID_OPTIONS");
  expect(unknown.message).toContain("`name`");
  await thrown(() => new Registry({ keys: "unique", name: "" }), "INVALID_OPTIONS");
  const registry = new Registry<string>({ keys: "unique", name: "agents" });
  // @ts-expect-error: as above
  await thrown(() => registry.register("a", "x", { meta: {} }), "INVALID_OPTIONS");
  // @ts-expect-error: as above
  await thrown(() => registry.register("a", "x", { metadata: "core" }), "INVALID_OPTIONS");
  await failure(registry.whenRegistered("a", { timeout: "soon" }), "INVALID_OPTIONS");
  for (const key of ["", [], [""], Number.NaN, ["a", ["b"]], null, undefined, {}, "x".repeat(600)]) {
    const wrong = await thrown(() => registry.lookup(key as RegistryKey), "INVALID_OPTIONS");
    expect(wrong.details.problems[0]?.field).toBe("key");
    expect(wrong.message).toContain('registry "agents"');
  }
  expect(registry.count()).toBe(0);
});

test("Registry: throws CastellanError, and types its values", () => {
  const registry = new Registry<Connection>({ keys: "unique" });
  expectTypeOf(registry.get("a")).toEqualTypeOf<Connection | undefined>();
  registry.register("a", new Connection());
  try {
    registry.register("a", new Connection());
    expect.unreachable();
  } catch (error) {
    expect(CastellanError.is(error, "KEY_ALREADY_REGISTERED")).toBe(true);
  }
});
