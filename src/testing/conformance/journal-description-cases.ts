import { deepEqual } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { SessionDescription, SessionEntry } from "../../journal/model/session-entry.ts";
import { ALL_KEYS, type CreationOrder, compareKeys, type SessionListQuery } from "../../journal/model/session-list.ts";
import { type JournalBench, type JournalCases, ordered, session, spent, UNUSUAL } from "./journal-case.ts";

function describe(key: string, description: SessionDescription): Change {
  return { type: "session_described", session: key, description };
}

/** Writes sessions with these descriptions. */
async function writeAll(
  write: JournalBench["write"],
  all: readonly (readonly [key: string, description?: SessionDescription])[],
  supervisor = "s",
): Promise<void> {
  await write(
    ...all.flatMap(([key, description]): Change[] => [
      { type: "session_saved", session: session(key, { supervisor }) },
      ...(description === undefined ? [] : [describe(key, description)]),
    ]),
  );
}

async function keys(journal: JournalBench["journal"], query: Partial<SessionListQuery> = {}): Promise<string[]> {
  const found = await journal.listSessions({ archived: false, range: ALL_KEYS, limit: 1_000, ...query });
  return found.map(({ key }) => key);
}

/** The cases about the descriptions of sessions, and lists of sessions. */
export const DESCRIPTION_CASES: JournalCases = {
  "keeps the description of a session, also when the session is saved again": async ({ journal, write, reopen }) => {
    const description = {
      createdAt: 1_700_000_000_000.5,
      title: UNUSUAL,
      labels: { user: UNUSUAL, [UNUSUAL]: "␐0000" },
      archivedAt: 5,
      memory: { title: null, deep: [{ n: 1 }] },
    };
    await writeAll(write, [['"a"', description], ['"b"']]);
    await write(describe('"unknown"', description));
    await reopen();
    const later = session('"a"', { conversationId: "c2", savedAt: 7 });
    await write({ type: "session_saved", session: { ...later, description: { title: "ignored" } } as SessionEntry });
    deepEqual(await journal.sessions(['"a"']), [{ ...later, description }]);
    deepEqual(await journal.sessions(['"b"', '"unknown"']), [session('"b"')]);
    await write(describe('"a"', { title: "short" }), describe('"a"', { createdAt: 1, labels: { only: "this" } }));
    deepEqual(await journal.sessions(['"a"']), [{ ...later, description: { createdAt: 1, labels: { only: "this" } } }]);
    deepEqual(await keys(journal, { labels: { user: UNUSUAL } }), []);
    deepEqual(await keys(journal, { labels: { only: "this" } }), ['"a"']);
    deepEqual(await keys(journal, { labels: { only: "this" }, archived: true }), []);
  },

  "lists sessions page by page, by key": async ({ journal, write }) => {
    const numbers = Array.from({ length: 40 }, (_, n) => `["user",${n},"${"ü".repeat(n % 3)}"]`);
    const all = [...numbers, '"user"', '["user"]', '["users",1]', '["us%r",1]', '"😀"', '"\uffee"', '"\\u0000"'];
    await writeAll(
      write,
      all.map((key) => [key, { createdAt: 1 }]),
    );
    await writeAll(write, [['"other"']], "another");
    const expected = all.toSorted(compareKeys);
    const found: string[] = [];
    for (let page = await keys(journal, { supervisor: "s", limit: 7 }); page.length > 0; ) {
      found.push(...page);
      page = await keys(journal, { supervisor: "s", limit: 7, after: page.at(-1) ?? "" });
    }
    deepEqual(found, expected);
    deepEqual(await keys(journal), [...all, '"other"'].toSorted(compareKeys));
    deepEqual(await keys(journal, { supervisor: "another" }), ['"other"']);
    deepEqual(await keys(journal, { range: ['["user",', '["user",\u{10FFFF}'] }), numbers.toSorted(compareKeys));
    deepEqual(await keys(journal, { range: ['"user"', '"user"'] }), ['"user"']);
    deepEqual(await keys(journal, { after: '["user",5,"üü"]', limit: 1 }), ['["user",6,""]']);
    deepEqual(await keys(journal, { limit: 0 }), []);
  },

  "lists sessions by labels, and archived ones apart": async ({ journal, write }) => {
    await writeAll(write, [
      ['"a"', { labels: { user: "1", plan: "free" } }],
      ['"b"', { labels: { user: "2", plan: "free" } }],
      ['"c"', { labels: { user: "1", plan: "paid" } }],
      ['"d"', { labels: { user: "1" }, archivedAt: 9 }],
      ['"e"'],
    ]);
    deepEqual(await keys(journal, { labels: { user: "1" } }), ['"a"', '"c"']);
    deepEqual(await keys(journal, { labels: { user: "1" }, limit: 1 }), ['"a"']);
    deepEqual(await keys(journal, { labels: { user: "1" }, after: '"a"' }), ['"c"']);
    deepEqual(await keys(journal, { labels: { user: "1" }, range: ['"b"', '"z"'] }), ['"c"']);
    deepEqual(await keys(journal, { labels: { plan: "free", user: "1" } }), ['"a"']);
    deepEqual(await keys(journal, { labels: { plan: "paid", user: "2" } }), []);
    deepEqual(await keys(journal, { labels: { user: "1" }, supervisor: "other" }), []);
    deepEqual(await keys(journal, { labels: { user: "1" }, supervisor: "s", archived: true }), ['"d"']);
    deepEqual(await keys(journal, { archived: true }), ['"d"']);
    deepEqual(await keys(journal), ['"a"', '"b"', '"c"', '"e"']);
    await write(describe('"d"', { labels: { user: "1" } }), describe('"a"', { archivedAt: 3 }));
    deepEqual(await keys(journal), ['"b"', '"c"', '"d"', '"e"']);
    deepEqual(await keys(journal, { archived: true }), ['"a"']);
    await write({ type: "session_forgotten", session: '"c"' }, { type: "session_erased", session: '"d"', as: '"x"' });
    await writeAll(write, [['"c"']]);
    deepEqual(await keys(journal, { labels: { user: "1" } }), []);
    deepEqual(await keys(journal), ['"b"', '"c"', '"e"']);
    deepEqual(await journal.sessions(['"c"']), [session('"c"')]);
  },

  "lists sessions in the order of their creation": async ({ journal, write }) => {
    await writeAll(write, [
      ['"c"', { createdAt: 2 }],
      ['"a"', { createdAt: 3, labels: { user: "1" } }],
      ['"b"', { createdAt: 2, labels: { user: "1" } }],
      ['"d"', { createdAt: 1.5, archivedAt: 9 }],
      ['"e"'],
    ]);
    await writeAll(write, [['"other"', { createdAt: 2 }]], "another");
    const list = async (query: Partial<SessionListQuery>): Promise<string> =>
      (await keys(journal, { supervisor: "s", ...query })).map((key) => JSON.parse(key)).join("");
    deepEqual(await list({ byCreation: { newestFirst: true } }), "acbe");
    deepEqual(await list({ byCreation: { newestFirst: false } }), "ebca");
    const both = { supervisor: "s", range: ALL_KEYS, limit: 2 } as const;
    const found: string[] = [];
    let byCreation: CreationOrder = { newestFirst: true };
    for (let page = await journal.listSessions({ ...both, byCreation }); page.length > 0; ) {
      found.push(...page.map(({ key }) => JSON.parse(key)));
      const { key = "", description = {} } = page.at(-1) ?? {};
      byCreation = { newestFirst: true, after: { createdAt: description.createdAt ?? 0, key } };
      page = await journal.listSessions({ ...both, byCreation });
    }
    deepEqual(found.join(""), "acbde");
    deepEqual(await list({ archived: true, byCreation: { newestFirst: true } }), "d");
    deepEqual(await list({ byCreation: { newestFirst: false, after: { createdAt: 2, key: '"b"' } } }), "ca");
    deepEqual(await list({ byCreation: { newestFirst: true, from: 2, to: 2 } }), "cb");
    deepEqual(await list({ labels: { user: "1" }, byCreation: { newestFirst: false } }), "ba");
    deepEqual(await list({ range: ['"b"', '"c"'], byCreation: { newestFirst: true }, limit: 1 }), "c");
  },

  "sums spending by the value of a label": async ({ journal, write }) => {
    await writeAll(write, [
      ['"a"', { labels: { user: "1", plan: "free" } }],
      ['"b"', { labels: { user: "2" } }],
      ['"c"', { labels: { user: "1" } }],
      ['"d"'],
    ]);
    const day = "2026-01-01";
    const spend = (key: string, costUsd: number): Change => {
      return { type: "spent", supervisor: "s", session: key, day, models: [spent("m", costUsd)] };
    };
    await write(spend('"a"', 1), spend('"b"', 2), spend('"c"', 4), spend('"d"', 8), spend('"never saved"', 16));
    const costs = async (label: string, by: readonly "session"[] = []): Promise<unknown[]> =>
      ordered((await journal.usage({ label, by })).map((one) => [one.label, one.session, one.costUsd]));
    deepEqual(await costs("user"), [
      ["1", undefined, 5],
      ["2", undefined, 2],
      [undefined, undefined, 24],
    ]);
    deepEqual((await costs("user", ["session"])).length, 5);
    deepEqual(await costs("nothing"), [[undefined, undefined, 31]]);
    await write({ type: "session_erased", session: '"a"', as: '"x"' });
    deepEqual(await costs("user"), [
      ["1", undefined, 4],
      ["2", undefined, 2],
      [undefined, undefined, 25],
    ]);
  },
};
