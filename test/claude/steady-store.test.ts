import { InMemorySessionStore, type SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { type StoreKey, steadyStore } from "../../src/claude/steady-store.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const entry = { type: "user", uuid: "u1" };
const sessionId = "s";

class Remembered implements StoreKey {
  key: string | undefined;
  get = (): string | undefined => this.key;
  learned = (projectKey: string): void => {
    this.key = projectKey;
  };
}

test("steadyStore(): keeps a conversation under its first key in every working directory", async () => {
  const [inner, key] = [new InMemorySessionStore(), new Remembered()];
  const first = steadyStore(inner, key, new SimulatedClock());
  await first.append({ projectKey: "one", sessionId }, [entry]);
  // The next run of the application knows the key and has another directory.
  const second = steadyStore(inner, key, new SimulatedClock());
  expect(await second.load({ projectKey: "two", sessionId })).toEqual([entry]);
  await second.append({ projectKey: "three", sessionId, subpath: "subagents/agent-1" }, [entry]);
  expect(await inner.load({ projectKey: "one", sessionId, subpath: "subagents/agent-1" })).toEqual([entry]);
  expect(await second.listSubkeys?.({ projectKey: "two", sessionId })).toEqual(["subagents/agent-1"]);
  expect((await second.listSessions?.("two"))?.map((found) => found.sessionId)).toEqual([sessionId]);
  await second.delete?.({ projectKey: "two", sessionId });
  expect(await inner.load({ projectKey: "one", sessionId })).toBeNull();
});

test("steadyStore(): leaves out half a compaction on load, and keeps it in the store", async () => {
  const [inner, key] = [new InMemorySessionStore(), { projectKey: "p", sessionId }];
  const half = [entry, { type: "system", subtype: "compact_boundary", uuid: "b", parentUuid: null }];
  await inner.append(key, half);
  await inner.append({ ...key, subpath: "subagents/agent-1" }, half);
  const steady = steadyStore(inner, new Remembered(), new SimulatedClock());
  expect(await steady.load(key)).toEqual([entry]);
  expect(await steady.load({ ...key, subpath: "subagents/agent-1" })).toEqual(half);
  expect(await inner.load(key)).toEqual(half);
});

test("steadyStore(): offers no method that its store lacks", () => {
  const store: SessionStore = { append: async () => {}, load: async () => null };
  expect(Object.keys(steadyStore(store, new Remembered(), new SimulatedClock()))).toEqual(["append", "load"]);
});

test("steadyStore(): rejects after twenty seconds without an answer, and asks again once the store has answered", async () => {
  const clock = new SimulatedClock();
  const back = Promise.withResolvers<void>();
  const asked: string[] = [];
  const store: SessionStore = {
    append: (key) => {
      asked.push(key.sessionId);
      return asked.length === 1 ? back.promise : Promise.resolve();
    },
    load: async () => null,
  };
  const steady = steadyStore(store, new Remembered(), clock);
  const append = (id: string): Promise<unknown> =>
    steady.append({ projectKey: "p", sessionId: id }, [entry]).catch((error: Error) => error.message);
  const first = append("a");
  await clock.advance(20_000);
  expect(await first).toContain("did not append within 20s");
  expect(await append("b")).toContain("has not finished an append");
  expect(asked).toEqual(["a"]);
  back.resolve();
  await clock.advance(0);
  expect(await append("c")).toBeUndefined();
  expect(asked).toEqual(["a", "c"]);
  expect(clock.timers).toBe(0);
});
