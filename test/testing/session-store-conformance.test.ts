import {
  foldSessionSummary,
  InMemorySessionStore,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";

type Entries = SessionStoreEntry[];
type Store = Required<SessionStore>;

/** A minimal store that meets the whole contract. */
function rightStore(): Store {
  const transcripts = new Map<
    string,
    { key: SessionKey; lines: string[]; mtime: number; summary?: SessionSummaryEntry }
  >();
  const idOf = ({ projectKey, sessionId, subpath }: SessionKey): string =>
    JSON.stringify([projectKey, sessionId, subpath ?? null]);
  const of = (projectKey: string, sessionId?: string) =>
    [...transcripts.values()].filter(
      ({ key }) => key.projectKey === projectKey && (sessionId === undefined || key.sessionId === sessionId),
    );
  const mains = (projectKey: string) => of(projectKey).filter(({ key }) => key.subpath === undefined);
  return {
    append: async (key, entries) => {
      if (key.subpath === "") throw new Error("empty subpath");
      if (entries.length === 0) return;
      const transcript = transcripts.get(idOf(key)) ?? { key, lines: [], mtime: 0 };
      const known = new Set(transcript.lines.map((line) => (JSON.parse(line) as SessionStoreEntry).uuid));
      const fresh = entries.filter(({ uuid }) => uuid === undefined || (!known.has(uuid) && known.add(uuid)));
      const mtime = Date.now();
      const summary = foldSessionSummary(transcript.summary, key, fresh, { mtime });
      const lines = [...transcript.lines, ...fresh.map((entry) => JSON.stringify(entry))];
      transcripts.set(idOf(key), { key, lines, mtime, summary });
    },
    load: async (key) => transcripts.get(idOf(key))?.lines.map((line) => JSON.parse(line) as SessionStoreEntry) ?? null,
    listSessions: async (projectKey) =>
      mains(projectKey).map(({ key, mtime }) => ({ sessionId: key.sessionId, mtime })),
    listSessionSummaries: async (projectKey) => mains(projectKey).flatMap(({ summary }) => summary ?? []),
    delete: async (key) => {
      const gone = key.subpath === undefined ? of(key.projectKey, key.sessionId).map((other) => other.key) : [key];
      for (const each of gone) transcripts.delete(idOf(each));
    },
    listSubkeys: async ({ projectKey, sessionId }) => of(projectKey, sessionId).flatMap(({ key }) => key.subpath ?? []),
  };
}

/** Returns the names of the cases that fail. */
async function failures(make: () => SessionStore, traits: Parameters<typeof sessionStoreConformance>[1] = {}) {
  const failed: string[] = [];
  for (const { name, run } of sessionStoreConformance(make, traits)) await run().catch(() => failed.push(name));
  return failed;
}

/** Returns a store with one flaw. */
function wrong(change: (right: Store) => Partial<SessionStore>): () => SessionStore {
  return () => {
    const right = rightStore();
    return { ...right, ...change(right) };
  };
}

const withoutUuids = (entries: Entries): Entries => entries.map(({ uuid, ...entry }) => ({ ...entry, id: uuid }));
const main = ({ projectKey, sessionId }: SessionKey): SessionKey => ({ projectKey, sessionId });

const MUTANTS: { readonly [flaw: string]: readonly [make: () => SessionStore, caught: string] } = {
  "loads in another order": [
    wrong(({ load }) => ({ load: async (key) => (await load(key))?.toReversed() ?? null })),
    "keeps the order of entries and calls",
  ],
  "lets short appends overtake long ones": [
    wrong(({ append }) => ({
      append: async (key, entries) => {
        if (entries.length > 1) await new Promise(setImmediate);
        await append(key, entries);
      },
    })),
    "keeps the order of concurrent calls",
  ],
  "has an empty list for what was never written": [
    wrong(({ load }) => ({ load: async (key) => (await load(key)) ?? [] })),
    "returns null for an unknown transcript",
  ],
  "keeps only what was appended last": [
    wrong((store) => ({
      append: async (key, entries) => {
        await store.delete(key);
        await store.append(key, entries);
      },
    })),
    "keeps the order of entries and calls",
  ],
  "stores what has a uuid again": [
    wrong(({ append, load }) => ({
      append: (key, entries) => append(key, withoutUuids(entries)),
      load: async (key) =>
        (await load(key))?.map(({ id, ...entry }) =>
          id === undefined ? entry : { ...entry, uuid: id as string },
        ) as Entries | null,
    })),
    "stores an entry with a uuid once, at its first position",
  ],
  "moves what is sent again to the end": [
    wrong(({ append, load }) => ({
      append: async (key, entries) => {
        if (entries.length > 0) await append(key, withoutUuids(entries));
        else await append(key, entries);
      },
      load: async (key) => {
        const all = (await load(key))?.map(({ id, ...entry }) => ({ ...entry, ...(id !== undefined && { uuid: id }) }));
        return (all?.filter(
          ({ uuid }, at) => uuid === undefined || all.findLastIndex((other) => other.uuid === uuid) === at,
        ) ?? null) as Entries | null;
      },
    })),
    "stores an entry with a uuid once, at its first position",
  ],
  "stores an entry without a uuid once": [
    wrong(({ append, load }) => ({
      append: (key, entries) =>
        append(
          key,
          entries.map((entry) => ({ uuid: JSON.stringify(entry), ...entry })),
        ),
      load: async (key) =>
        (await load(key))?.map(({ uuid, ...entry }) =>
          uuid?.startsWith("{") ? entry : { ...entry, uuid },
        ) as Entries | null,
    })),
    "stores an entry without a uuid each time",
  ],
  "takes one project for all": [
    wrong((store) => ({
      listSessions: () => store.listSessions("all"),
      append: (key, entries) => store.append({ ...key, projectKey: "all" }, entries),
      load: (key) => store.load({ ...key, projectKey: "all" }),
    })),
    "keeps arbitrary keys apart",
  ],
  "loses U+0000": [
    wrong(({ append }) => ({
      append: (key, entries) => append(key, JSON.parse(JSON.stringify(entries).replaceAll("\\u0000", ""))),
    })),
    "returns every entry unchanged",
  ],
  "puts subagents into the main transcript": [
    wrong(({ append }) => ({ append: (key, entries) => append(main(key), entries) })),
    "returns null for an unknown transcript",
  ],
  "makes a session of nothing": [
    wrong(({ append, load }) => {
      const made = new Set<string>();
      return {
        append: async (key, entries) => {
          made.add(JSON.stringify(key));
          await append(key, entries);
        },
        load: async (key) => (await load(key)) ?? (made.has(JSON.stringify(key)) ? [] : null),
      };
    }),
    "ignores an empty append",
  ],
  "gives seconds": [
    wrong(({ listSessions }) => ({
      listSessions: async (projectKey) =>
        (await listSessions(projectKey)).map(({ sessionId, mtime }) => ({
          sessionId,
          mtime: Math.floor(mtime / 1000),
        })),
    })),
    "reports the time of the last write in whole milliseconds, never decreasing",
  ],
  "gives another time in summaries": [
    wrong(({ listSessionSummaries }) => ({
      listSessionSummaries: async (projectKey) =>
        (await listSessionSummaries(projectKey)).map((summary) => ({ ...summary, mtime: summary.mtime + 1 })),
    })),
    "uses one clock for lists and summaries",
  ],
  "lists subagents as sessions": [
    wrong(({ append, listSessions }) => {
      const more: SessionKey[] = [];
      return {
        append: async (key, entries) => {
          if (key.subpath !== undefined) more.push(key);
          await append(key, entries);
        },
        listSessions: async (projectKey) => [
          ...(await listSessions(projectKey)),
          ...more
            .filter((key) => key.projectKey === projectKey)
            .map(({ sessionId }) => ({ sessionId, mtime: Date.now() })),
        ],
      };
    }),
    "does not list a subagent as a session",
  ],
  "lists the main transcript as a subagent": [
    wrong(({ listSubkeys }) => ({ listSubkeys: async (key) => [...(await listSubkeys(key)), ""] })),
    "lists each subagent of a session once",
  ],
  "deletes the main transcript alone": [
    wrong((store) => ({
      delete: async (key) => {
        const kept = [];
        for (const subpath of await store.listSubkeys(key)) {
          kept.push([{ ...key, subpath }, (await store.load({ ...key, subpath })) ?? []] as const);
        }
        await store.delete(key);
        if (key.subpath === undefined) for (const [each, entries] of kept) await store.append(each, entries);
      },
    })),
    "deletes the subagents with their session",
  ],
  "deletes the session with a subagent": [
    wrong((store) => ({ delete: (key) => store.delete(main(key)) })),
    "deletes one subagent alone",
  ],
  "says nothing of an empty subpath": [
    wrong(({ append }) => ({
      append: async (key, entries) => {
        if (key.subpath !== "") await append(key, entries);
      },
    })),
    "refuses an empty subpath",
  ],
};

describe("sessionStoreConformance", () => {
  it("passes a correct store", async () => {
    expect(await failures(rightStore)).toEqual([]);
  });

  for (const [flaw, [make, caught]] of Object.entries(MUTANTS)) {
    it(`fails a store that ${flaw}`, async () => {
      expect(await failures(make)).toContain(caught);
    });
  }

  it("skips the cases of optional methods that are declared missing", async () => {
    const all = sessionStoreConformance(rightStore).length;
    const bare = (): SessionStore => {
      const { append, load } = rightStore();
      return { append, load };
    };
    const without = ["listSessions", "listSessionSummaries", "delete", "listSubkeys"] as const;
    expect(await failures(bare, { without })).toEqual([]);
    expect(sessionStoreConformance(bare, { without }).length).toBeLessThan(all);
    const methods = "has exactly the optional methods that it declares";
    expect(await failures(bare)).toContain(methods);
    expect(await failures(rightStore, { without: ["delete"] })).toEqual([methods]);
  });

  it("finds the flaws of the SDK's in-memory store", async () => {
    // That store keeps the objects that it was given, ignores uuids, and joins the parts of a key with slashes.
    expect(await failures(() => new InMemorySessionStore())).toEqual([
      "ignores an empty append",
      "is not affected by later changes to the appended objects",
      "stores an entry with a uuid once, at its first position",
      "stores an entry with a uuid once, also in concurrent calls",
      "keeps arbitrary keys apart",
      "refuses an empty subpath",
      "does not count a repeated entry twice",
    ]);
  });
});
