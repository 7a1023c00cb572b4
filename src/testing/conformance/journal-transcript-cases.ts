import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { Journal } from "../../journal/model/journal.ts";
import type { TranscriptKey, TranscriptPart, TranscriptStore } from "../../journal/model/transcript-entry.ts";
import { conversation, type JournalBench, type JournalCases, session, UNUSUAL } from "./journal-case.ts";

const A = '"a"';
const B = '"b"';

/** Returns the change that appends these entries to the transcript of the conversation `c`. */
function part(entries: readonly object[], changed: Partial<TranscriptPart> = {}): Change {
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  return { type: "transcript_appended", part: { session: A, conversationId: "c", lines, ...changed } };
}

async function read(store: TranscriptStore, key: TranscriptKey): Promise<unknown[]> {
  const text = (await Array.fromAsync(store.lines(key))).join("");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

/** The rules of a journal with transcripts; another journal has none. */
const cases: {
  readonly [name: string]: (bench: JournalBench & { readonly store: () => TranscriptStore }) => Promise<void>;
} = {
  "keeps a transcript in the order of its parts": async ({ write, reopen, store }) => {
    const entries = Array.from({ length: 40 }, (_, n) => ({ type: "user", uuid: `u${n}`, text: UNUSUAL.repeat(n) }));
    await write(part(entries.slice(0, 3), { lastUuid: "u2" }), part([{ type: "mode" }]));
    for (const entry of entries.slice(3, -2)) await write(part([entry], { lastUuid: entry.uuid }));
    await reopen();
    await write(part(entries.slice(-2), { lastUuid: "u39" }), part([{ type: "last-prompt" }]));
    const all = [...entries.slice(0, 3), { type: "mode" }, ...entries.slice(3), { type: "last-prompt" }];
    deepEqual(await read(store(), { conversationId: "c" }), all);
    deepEqual(await store().of("c"), [{ session: A, conversationId: "c", lastUuid: "u39" }]);
  },

  "keeps the transcripts of conversations and of their subagents apart": async ({ write, store }) => {
    const subpath = "subagents/agent-1";
    await write(
      part([{ n: 1 }], { lastUuid: "1" }),
      part([{ n: 2 }], { subpath }),
      part([{ n: 3 }], { conversationId: "d" }),
      part([{ n: 4 }], { subpath, lastUuid: "4" }),
      part([{ n: 5 }]),
    );
    deepEqual(await read(store(), { conversationId: "c" }), [{ n: 1 }, { n: 5 }]);
    deepEqual(await read(store(), { conversationId: "c", subpath }), [{ n: 2 }, { n: 4 }]);
    deepEqual(await read(store(), { conversationId: "d" }), [{ n: 3 }]);
    deepEqual(await read(store(), { conversationId: "e" }), []);
    deepEqual(await store().of("c"), [
      { session: A, conversationId: "c", lastUuid: "1" },
      { session: A, conversationId: "c", subpath, lastUuid: "4" },
    ]);
    deepEqual(await store().of("e"), []);
    equal((await store().writtenBy(A)).length, 3);
  },

  "appends a part once, however often its batch is written": async ({ journal, store }) => {
    const changes = [part([{ n: 1 }]), part([{ n: 2 }])];
    await journal.write({ number: 1, changes, durable: false });
    await journal.write({ number: 1, changes, durable: true });
    deepEqual(await read(store(), { conversationId: "c" }), [{ n: 1 }, { n: 2 }]);
  },

  "gives a transcript to the session that appended to it last": async ({ write, store }) => {
    await write(part([{ n: 1 }], { lastUuid: "1" }));
    await write(part([{ n: 2 }], { session: B }));
    deepEqual(await store().of("c"), [{ session: B, conversationId: "c", lastUuid: "1" }]);
    await write({ type: "session_forgotten", session: A });
    deepEqual(await read(store(), { conversationId: "c" }), [{ n: 1 }, { n: 2 }]);
    await write({ type: "session_forgotten", session: B });
    deepEqual(await store().of("c"), []);
  },

  "deletes the transcripts of a forgotten or erased session": async ({ write, store }) => {
    for (const change of [
      { type: "session_forgotten", session: A },
      { type: "session_erased", session: A, as: '"gone"' },
    ] as const) {
      await write(
        { type: "session_saved", session: session(A) },
        part([{ n: 1 }]),
        part([{ n: 2 }], { subpath: "subagents/agent-1" }),
        part([{ n: 3 }], { conversationId: "other", session: B }),
      );
      await write(change);
      deepEqual(await store().writtenBy(A), []);
      deepEqual(await read(store(), { conversationId: "c" }), []);
    }
    deepEqual(await read(store(), { conversationId: "other" }), [{ n: 3 }, { n: 3 }]);
    await write(part([{ n: 4 }], { lastUuid: "4" }));
    deepEqual(await read(store(), { conversationId: "c" }), [{ n: 4 }]);
  },

  "deletes the transcripts of an erased conversation of the session": async ({ write, store }) => {
    await write(
      { type: "conversation_left", conversation: conversation("c") },
      part([{ n: 1 }]),
      part([{ n: 2 }], { subpath: "subagents/agent-1" }),
      part([{ n: 3 }], { conversationId: "d" }),
    );
    await write({ type: "conversation_erased", session: B, conversationId: "c" });
    equal((await store().of("c")).length, 2);
    await write({ type: "conversation_erased", session: A, conversationId: "c" });
    deepEqual(await store().of("c"), []);
    deepEqual(await read(store(), { conversationId: "d" }), [{ n: 3 }]);
  },

  "keeps a part of a megabyte": async ({ write, store }) => {
    const entry = { text: UNUSUAL.repeat(20_000) };
    await write(part([entry]));
    deepEqual(await read(store(), { conversationId: "c" }), [entry]);
  },
};

function storeOf({ transcripts }: Journal): TranscriptStore | undefined {
  return transcripts;
}

/** The cases about transcripts. They hold for a journal without any, which receives none. */
export const TRANSCRIPT_CASES: JournalCases = Object.fromEntries(
  Object.entries(cases).map(([name, check]) => [
    name,
    async (bench: JournalBench) => {
      const first = storeOf(bench.journal);
      if (first !== undefined) await check({ ...bench, store: () => storeOf(bench.journal) ?? first });
    },
  ]),
);
