import { deepEqual, equal, ok } from "node:assert/strict";
import {
  foldSessionSummary,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import type { StoreCase } from "./session-store-case.ts";

const SUBAGENTS = ["subagents/agent-1", "subagents/agent-2"] as const;

/** The rules of the optional methods. */
export const LISTING_CASES: readonly StoreCase[] = [
  {
    name: "lists the sessions of one project only",
    needs: ["listSessions"],
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [prompt("1")]);
      await write(key("b"), [prompt("1")]);
      await write({ projectKey: `${projectKey}-2`, sessionId: "c" }, [prompt("1")]);
      deepEqual(await sessionsOf(store, projectKey), ["a", "b"]);
      deepEqual(await sessionsOf(store, `${projectKey}-3`), []);
    },
  },
  {
    name: "does not list a subagent as a session",
    needs: ["listSessions"],
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [prompt("1")]);
      for (const subagent of SUBAGENTS) await write(key("a", subagent), [prompt("1")]);
      await write(key("b", SUBAGENTS[0]), [prompt("1")]);
      deepEqual(await sessionsOf(store, projectKey), ["a"]);
    },
  },
  {
    name: "reports the time of the last write in whole milliseconds, never decreasing",
    needs: ["listSessions"],
    check: async ({ store, key, projectKey, write }) => {
      const mtimes: number[] = [];
      for (let n = 0; n < 5; n += 1) {
        await write(key("a"), [prompt(`${n}`)]);
        for (const { mtime } of (await store.listSessions?.(projectKey)) ?? []) mtimes.push(mtime);
      }
      equal(mtimes.length, 5);
      // Rules out seconds and microseconds.
      ok(
        mtimes.every((mtime) => Number.isInteger(mtime) && mtime > 1e12 && mtime < 1e14),
        `${mtimes}`,
      );
      deepEqual(mtimes, mtimes.toSorted());
    },
  },
  {
    name: "summarises a session as the SDK does",
    needs: ["listSessionSummaries"],
    check: async ({ store, key, projectKey, write }) => {
      const batches = [
        [prompt("first", { cwd: "/here", isSidechain: false }), title("one"), title("two")],
        [prompt("second", { cwd: "/there" })],
        [title("three \uD83D\u0000'\"")],
      ];
      await write(key("a"), ...batches);
      await write(key("b"), [title("b")]);
      await write({ projectKey: `${projectKey}-2`, sessionId: "a" }, [title("other")]);
      deepEqual(await summaryOf(store, projectKey, "a"), folded(key("a"), batches.flat()));
      deepEqual(await summaryOf(store, projectKey, "b"), folded(key("b"), [title("b")]));
      deepEqual(await store.listSessionSummaries?.(`${projectKey}-3`), []);
      equal((await store.listSessionSummaries?.(projectKey))?.length, 2);
    },
  },
  {
    name: "does not summarise subagents",
    needs: ["listSessionSummaries"],
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [prompt("main"), title("main")]);
      for (const subagent of SUBAGENTS) await write(key("a", subagent), [prompt("sub"), title("sub")]);
      await write(key("b", SUBAGENTS[0]), [title("sub")]);
      deepEqual(await summaryOf(store, projectKey, "a"), folded(key("a"), [prompt("main"), title("main")]));
      equal(await summaryOf(store, projectKey, "b"), undefined);
    },
  },
  {
    name: "summarises concurrent appends in order",
    needs: ["listSessionSummaries"],
    check: async ({ store, key, projectKey }) => {
      const batches = Array.from({ length: 25 }, (_, n) => [prompt(`prompt ${n}`), title(`title ${n}`)]);
      await Promise.all(batches.map((batch) => store.append(key("a"), batch)));
      deepEqual(await summaryOf(store, projectKey, "a"), folded(key("a"), batches.flat()));
    },
  },
  {
    name: "does not count a repeated entry twice",
    needs: ["listSessionSummaries"],
    check: async ({ store, key, projectKey, write }) => {
      const [early, late] = [[title("early", "u1")], [title("late", "u2")]] as const;
      await write(key("a"), [...early], [...late], [...early]);
      deepEqual(await summaryOf(store, projectKey, "a"), folded(key("a"), [...early, ...late]));
    },
  },
  {
    name: "uses one clock for lists and summaries",
    needs: ["listSessions", "listSessionSummaries"],
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [prompt("1")], [prompt("2")]);
      await write(key("a", SUBAGENTS[0]), [prompt("1")]);
      await write(key("b"), [prompt("1")]);
      const times = (list: readonly { readonly sessionId: string; readonly mtime: number }[] = []): string[] =>
        list.map(({ sessionId, mtime }) => `${sessionId} ${mtime}`).toSorted();
      deepEqual(times(await store.listSessionSummaries?.(projectKey)), times(await store.listSessions?.(projectKey)));
    },
  },
  {
    name: "lists each subagent of a session once",
    needs: ["listSubkeys"],
    check: async ({ store, key, projectKey, write }) => {
      const odd = ["a\0b", "\uD83D", "'; --", "subagents/x/y", "..", "long ".repeat(1_000)];
      for (const subpath of [...SUBAGENTS, ...odd]) await write(key("a", subpath), [prompt("1")], [prompt("2")]);
      await write(key("a"), [prompt("1")]);
      await write(key("b", "other"), [prompt("1")]);
      await write({ projectKey: `${projectKey}-2`, sessionId: "a", subpath: "other" }, [prompt("1")]);
      deepEqual((await store.listSubkeys?.(key("a")))?.toSorted(), [...SUBAGENTS, ...odd].toSorted());
      await write(key("c"), [prompt("1")]);
      deepEqual(await store.listSubkeys?.(key("c")), []);
      deepEqual(await store.listSubkeys?.(key("unknown")), []);
    },
  },
  {
    name: "deletes one session only",
    needs: ["delete"],
    check: async ({ store, key, projectKey, write }) => {
      const others = [key("b"), key("b", SUBAGENTS[0]), { projectKey: `${projectKey}-2`, sessionId: "a" }];
      for (const each of [key("a"), ...others]) await write(each, [prompt("1")]);
      await store.delete?.(key("a"));
      equal(await store.load(key("a")), null);
      for (const each of others) deepEqual(await store.load(each), [prompt("1")]);
      await store.delete?.(key("a"));
      await store.delete?.(key("unknown"));
    },
  },
  {
    name: "deletes the subagents with their session",
    needs: ["delete"],
    check: async ({ store, key, projectKey, write }) => {
      for (const each of [key("a"), ...SUBAGENTS.map((subagent) => key("a", subagent))]) {
        await write(each, [title("gone")]);
      }
      await store.delete?.(key("a"));
      for (const subagent of SUBAGENTS) equal(await store.load(key("a", subagent)), null);
      if (store.listSubkeys !== undefined) deepEqual(await store.listSubkeys(key("a")), []);
      if (store.listSessions !== undefined) deepEqual(await store.listSessions(projectKey), []);
      if (store.listSessionSummaries !== undefined) deepEqual(await store.listSessionSummaries(projectKey), []);
    },
  },
  {
    name: "deletes one subagent alone",
    needs: ["delete"],
    check: async ({ store, key, projectKey, write }) => {
      const [first, second] = SUBAGENTS;
      for (const each of [key("a"), key("a", first), key("a", second)]) await write(each, [title("here")]);
      await store.delete?.(key("a", first));
      equal(await store.load(key("a", first)), null);
      deepEqual(await store.load(key("a", second)), [title("here")]);
      deepEqual(await store.load(key("a")), [title("here")]);
      if (store.listSubkeys !== undefined) deepEqual(await store.listSubkeys(key("a")), [second]);
      if (store.listSessions !== undefined) deepEqual(await sessionsOf(store, projectKey), ["a"]);
    },
  },
  {
    name: "starts over after a deletion",
    needs: ["delete"],
    check: async ({ store, key, projectKey, write }) => {
      await write(key("a"), [prompt("old"), title("old", "u1")]);
      await store.delete?.(key("a"));
      const entries = [title("new", "u1"), prompt("new")];
      await write(key("a"), entries);
      deepEqual(await store.load(key("a")), entries);
      if (store.listSessionSummaries === undefined) return;
      deepEqual(await summaryOf(store, projectKey, "a"), folded(key("a"), entries));
    },
  },
];

function prompt(content: string, more: object = {}): SessionStoreEntry {
  return { type: "user", message: { role: "user", content }, timestamp: "2026-01-01T00:00:00.000Z", ...more };
}

function title(customTitle: string, uuid?: string): SessionStoreEntry {
  return { type: "custom-title", customTitle, ...(uuid !== undefined && { uuid }) };
}

async function sessionsOf(store: SessionStore, projectKey: string): Promise<string[] | undefined> {
  return (await store.listSessions?.(projectKey))?.map(({ sessionId }) => sessionId).toSorted();
}

async function summaryOf(store: SessionStore, projectKey: string, sessionId: string): Promise<unknown> {
  const found = (await store.listSessionSummaries?.(projectKey))?.filter((summary) => summary.sessionId === sessionId);
  ok((found?.length ?? 0) <= 1, `${found?.length} summaries of one session`);
  return found?.[0]?.data;
}

function folded(key: SessionKey, entries: SessionStoreEntry[]): unknown {
  return foldSessionSummary(undefined, key, entries, { mtime: 1 }).data;
}
