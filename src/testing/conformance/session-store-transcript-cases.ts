import { deepEqual, equal, rejects } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { SessionKey, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import type { StoreCase } from "./session-store-case.ts";

/** A lone surrogate, the null character that many stores reject, quotes, paths, patterns, and SQL. */
const UNUSUAL = "\uDE00|\u0000|'|\"|\\|../%_|😀|\u2028|␐0000|é|e\u0301|'); DROP TABLE entries; --|\uD83D";

const SUBAGENT = "subagents/agent-1";

/** The rules of `append` and `load`. */
export const TRANSCRIPT_CASES: readonly StoreCase[] = [
  {
    name: "returns null for an unknown transcript",
    check: async ({ store, key, write }) => {
      equal(await store.load(key("a")), null);
      await write(key("a"), [entry(1)]);
      await write(key("b", SUBAGENT), [entry(1)]);
      equal(await store.load(key("c")), null);
      equal(await store.load(key("a", SUBAGENT)), null);
      equal(await store.load(key("b")), null);
    },
  },
  {
    name: "keeps the order of entries and calls",
    check: async ({ store, key, write }) => {
      const batches = [[entry(1, "z"), entry(2, "a")], [entry(3)], [entry(4, "m"), entry(5), entry(6, "b")]];
      await write(key("a"), ...batches);
      same(await store.load(key("a")), batches.flat());
      await write(key("a"), [entry(7, "c")]);
      same(await store.load(key("a")), [...batches.flat(), entry(7, "c")]);
    },
  },
  {
    name: "keeps the order of concurrent calls",
    check: async ({ store, key }) => {
      const keys = [key("a"), key("a", SUBAGENT), key("b")];
      const batches = Array.from({ length: 30 }, (_, n) =>
        // Long and short batches, so that a later call could overtake an earlier one.
        Array.from({ length: n % 3 === 0 ? 20 : 1 }, (_, m) => ({
          ...entry(n),
          m,
          text: "x".repeat(n % 3 ? 1 : 9_000),
        })),
      );
      await Promise.all(batches.flatMap((batch) => keys.map((each) => store.append(each, batch))));
      for (const each of keys) deepEqual(places(await store.load(each)), places(batches.flat()));
    },
  },
  {
    name: "ignores an empty append",
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [], [entry(1)], []);
      same(await store.load(key("a")), [entry(1)]);
      await write(key("b"), []);
      await write(key("a", SUBAGENT), []);
      equal(await store.load(key("b")), null);
      equal(await store.load(key("a", SUBAGENT)), null);
      if (store.listSessions !== undefined) equal((await store.listSessions(projectKey)).length, 1);
      if (store.listSessionSummaries !== undefined) equal((await store.listSessionSummaries(projectKey)).length, 1);
      if (store.listSubkeys !== undefined) deepEqual(await store.listSubkeys(key("a")), []);
    },
  },
  {
    name: "returns every entry unchanged",
    check: async ({ store, key, write }) => {
      const odd = JSON.parse('{"type":"odd","__proto__":{"a":1},"constructor":2,"":3,"10":4,"1":5,"toString":null}');
      const entries: SessionStoreEntry[] = [
        { type: "text", uuid: UNUSUAL, text: UNUSUAL, [UNUSUAL]: [UNUSUAL, ""] },
        { type: UNUSUAL, timestamp: UNUSUAL },
        { type: "numbers", list: [0, -1, 0.1, 1e300, 5e-324, 2 ** 53, -(2 ** 53), 123456789012345680000] },
        { type: "nothing", is: null, list: [null, [], {}, [[]], [{}]], no: false, yes: true },
        { type: "deep", value: nested(200) },
        odd,
      ];
      await write(key("a"), entries);
      same(await store.load(key("a")), entries);
      const loaded = (await store.load(key("a")))?.at(-1);
      equal(JSON.stringify(Object.keys(loaded ?? {}).toSorted()), JSON.stringify(Object.keys(odd).toSorted()));
    },
  },
  {
    name: "takes many long entries",
    check: async ({ store, key, write }) => {
      const image = Buffer.alloc(1_500_000, "castellan").toString("base64");
      const many = Array.from({ length: 500 }, (_, n) => ({ ...entry(n, `u${n}`), text: `"${n}"\n`.repeat(200) }));
      await write(key("a"), many, [{ ...entry(500, "image"), image }]);
      same(await store.load(key("a")), [...many, { ...entry(500, "image"), image }]);
    },
  },
  {
    name: "is not affected by later changes to the appended objects",
    check: async ({ store, key }) => {
      const list = [1];
      const batch: SessionStoreEntry[] = [{ ...entry(1, "a"), list }];
      const appending = store.append(key("a"), batch);
      await appending;
      list.push(2);
      batch.push(entry(2, "b"));
      const loaded = await store.load(key("a"));
      same(loaded, [{ ...entry(1, "a"), list: [1] }]);
      loaded?.push(entry(3, "c"));
      Object.assign(loaded?.[0] ?? {}, { type: "changed" });
      same(await store.load(key("a")), [{ ...entry(1, "a"), list: [1] }]);
    },
  },
  {
    name: "stores an entry with a uuid once, at its first position",
    check: async ({ store, key, write }) => {
      const [a, b, c] = [entry(1, "a"), entry(2, "b"), entry(3, "c")];
      await write(key("s"), [a, b], [a, b], [b, c, a], [c]);
      same(await store.load(key("s")), [a, b, c]);
      await write(key("twice"), [a, b, a, c, c]);
      same(await store.load(key("twice")), [a, b, c]);
      await write(key("mixed"), [entry(0), a], [entry(0), a, b]);
      same(await store.load(key("mixed")), [entry(0), a, entry(0), b]);
    },
  },
  {
    name: "keeps the uuids of different transcripts apart",
    check: async ({ store, key, projectKey, write }) => {
      const keys = [key("s"), key("t"), key("s", SUBAGENT), { projectKey: `${projectKey}-2`, sessionId: "s" }];
      for (const each of keys) await write(each, [entry(1, "a")]);
      for (const each of keys) same(await store.load(each), [entry(1, "a")]);
    },
  },
  {
    name: "stores an entry with a uuid once, also in concurrent calls",
    check: async ({ store, key }) => {
      const batch = Array.from({ length: 20 }, (_, n) => entry(n, `u${n}`));
      await Promise.all(Array.from({ length: 8 }, (_, n) => store.append(key("a"), batch.slice(n))));
      same(await store.load(key("a")), batch);
    },
  },
  {
    name: "stores an entry without a uuid each time",
    check: async ({ store, key, write }) => {
      await write(key("a"), [entry(1), entry(1)], [entry(2), entry(1)]);
      same(await store.load(key("a")), [entry(1), entry(1), entry(2), entry(1)]);
    },
  },
  {
    name: "keeps arbitrary keys apart",
    check: async ({ store, projectKey, write }) => {
      const names = [
        "a",
        "A",
        "a ",
        "a/b",
        "b",
        "b/c",
        "a:b",
        "a|b",
        "a\0b",
        "__proto__",
        "constructor",
        "%61",
        "main",
      ];
      const odd = [...names, UNUSUAL, "\uD83D", "\uFFFD", "é", "e\u0301", "long ".repeat(2_000), '["a","b"]', "null"];
      const keys: SessionKey[] = odd.flatMap((name) => [
        { projectKey: projectKey + name, sessionId: "s" },
        { projectKey, sessionId: name },
        { projectKey, sessionId: "s", subpath: name },
        { projectKey, sessionId: "a", subpath: name },
      ]);
      // Keys whose concatenated parts are equal.
      keys.push(
        { projectKey: `${projectKey}/a`, sessionId: "b/c" },
        { projectKey: `${projectKey}/a/b`, sessionId: "c" },
      );
      keys.push({ projectKey: `${projectKey}/a`, sessionId: "b", subpath: "c" });
      await Promise.all(keys.map((key, n) => store.append(key, [entry(n, "u")])));
      await write({ projectKey, sessionId: "a" }, [entry(-1, "u")]);
      for (const [n, key] of keys.entries()) {
        const isAgain = key.projectKey === projectKey && key.sessionId === "a" && key.subpath === undefined;
        if (!isAgain) same(await store.load(key), [entry(n, "u")]);
      }
    },
  },
  {
    name: "refuses an empty subpath",
    check: async ({ store, key, write }) => {
      await write(key("a"), [entry(1)]);
      await rejects(async () => await store.append(key("a", ""), [entry(2)]));
      same(await store.load(key("a")), [entry(1)]);
    },
  },
];

function entry(n: number, uuid?: string): SessionStoreEntry {
  return uuid === undefined ? { type: "x", n } : { type: "x", uuid, n };
}

/** As `deepEqual`, which takes minutes to print the difference of long transcripts. */
function same(loaded: SessionStoreEntry[] | null, expected: readonly SessionStoreEntry[]): void {
  equal(loaded?.length, expected.length, `${loaded?.length} entries instead of ${expected.length}`);
  const at = expected.findIndex((entry, index) => !isDeepStrictEqual(loaded?.[index], entry));
  const [found, wanted] = [loaded?.[at], expected[at]].map((entry) => JSON.stringify(entry)?.slice(0, 300));
  equal(at, -1, `entry ${at} of ${expected.length} is ${found} instead of ${wanted}`);
}

function places(entries: readonly SessionStoreEntry[] | null): unknown[] | undefined {
  return entries?.map(({ n, m }) => [n, m]);
}

function nested(depth: number): unknown {
  return depth === 0 ? [] : { list: [nested(depth - 1)] };
}
