import { deepEqual, equal } from "node:assert/strict";
import type { Change } from "../../journal/model/change.ts";
import type { ContentEntry } from "../../journal/model/event-entry.ts";
import type { Journal } from "../../journal/model/journal.ts";
import type { AcceptedTurn } from "../../journal/model/turn-entry.ts";
import { ALL_EVENTS, appendingWith, content, event, type JournalCases, turn } from "./journal-case.ts";

/** Returns the change that accepts a turn whose prompt refers to these contents. */
function accepting(id: string, contents: readonly ContentEntry[], changed: Partial<AcceptedTurn> = {}): Change {
  const prompt = JSON.stringify(contents.map(({ hash }) => ({ $content: hash })));
  return { type: "turn_accepted", turn: turn(id, { prompt, promptKind: "text_json", ...changed }), contents };
}

function ending(...turns: readonly string[]): Change[] {
  return turns.map((id) => ({ type: "turn_ended", turn: id, state: "completed", at: 10, outcome: {} }));
}

/** Deletes all ended turns, or all events. */
async function prune(journal: Journal, what: "turns" | "events"): Promise<void> {
  const events = what === "events" ? { ...ALL_EVENTS, perSession: 0 } : ALL_EVENTS;
  const turnsPerSession = what === "turns" ? 0 : Number.POSITIVE_INFINITY;
  await journal.prune({ endedSince: 0, turnsPerSession, events });
}

/** Returns which of these contents are stored, unchanged. */
async function stored(journal: Journal, ...contents: readonly ContentEntry[]): Promise<boolean[]> {
  const found = await Promise.all(contents.map(({ hash }) => journal.content(hash)));
  contents.forEach((one, index) => {
    if (found[index] !== undefined) deepEqual(found[index], one);
  });
  return found.map((one) => one !== undefined);
}

const [image, text] = [content(new Uint8Array([0, 255, 1, 254, 0]), "image/png"), content("a text")];
const b = { session: '"b"' };

/** The cases about the contents to which prompts refer. */
export const CONTENT_CASES: JournalCases = {
  "keeps the contents of a prompt as long as its turn": async ({ journal, write, reopen }) => {
    await write(accepting("t1", [image, text, image]));
    await reopen();
    deepEqual(await stored(journal, image, text), [true, true]);
    equal((await journal.turn("t1"))?.promptKind, "text_json");
    await prune(journal, "turns");
    deepEqual(await stored(journal, image, text), [true, true]);
    await write({ type: "turn_begun", turn: "t1", promptId: "p", attempt: 1 }, ...ending("t1"));
    await prune(journal, "events");
    deepEqual(await stored(journal, image, text), [true, true]);
    await prune(journal, "turns");
    deepEqual(await stored(journal, image, text), [false, false]);
    await write(accepting("t2", [image]));
    deepEqual(await stored(journal, image), [true]);
  },

  "keeps a content until its last turn is deleted": async ({ journal, write }) => {
    await write(accepting("t1", [image]), accepting("t2", [image, text]), accepting("t3", [image], b));
    await write(...ending("t1", "t2"));
    await prune(journal, "turns");
    deepEqual(await stored(journal, image, text), [true, false]);
    await write(...ending("t3"));
    await prune(journal, "turns");
    deepEqual(await stored(journal, image), [false]);
  },

  "keeps a content that an event and a turn refer to until both are deleted": async ({ journal, write }) => {
    for (const [first, last] of [
      ["turns", "events"],
      ["events", "turns"],
    ] as const) {
      const number = first === "turns" ? 1 : 2;
      await write(accepting(`t${number}`, [image, text]), appendingWith(event(number), image), ...ending(`t${number}`));
      await prune(journal, first);
      deepEqual(await stored(journal, image, text), [true, first === "events"]);
      await prune(journal, last);
      deepEqual(await stored(journal, image, text), [false, false]);
    }
  },

  "keeps a content to which an event refers without bringing it": async ({ journal, write }) => {
    await write(accepting("t1", [image]));
    await write({ type: "event_appended", event: event(1, { contents: [image.hash] }) }, ...ending("t1"));
    await prune(journal, "turns");
    deepEqual(await stored(journal, image), [true]);
    await prune(journal, "events");
    deepEqual(await stored(journal, image), [false]);
  },

  "deletes the contents of a withdrawn turn": async ({ journal, write }) => {
    await write(accepting("t1", [image, text]), accepting("t2", [text]));
    await write({ type: "turn_withdrawn", turn: "t1" });
    deepEqual(await stored(journal, image, text), [false, true]);
    await write({ type: "turn_begun", turn: "t2", promptId: "p", attempt: 1 }, { type: "turn_withdrawn", turn: "t2" });
    deepEqual(await stored(journal, text), [true]);
    await write(accepting("t3", [image]), { type: "turn_withdrawn", turn: "t3" });
    deepEqual(await stored(journal, image), [false]);
  },

  "does not store the contents of a turn that exists with another prompt": async ({ journal, write }) => {
    await write({ type: "turn_accepted", turn: turn("t1") }, accepting("t2", [image]));
    await write(accepting("t1", [text]), accepting("t2", [text]), accepting("t2", [image]));
    deepEqual(await stored(journal, image, text), [true, false]);
    await write(...ending("t1", "t2"));
    await prune(journal, "turns");
    deepEqual(await stored(journal, image), [false]);
  },

  "forgets and erases the contents of a session's prompts, except those that others refer to": async ({
    journal,
    write,
    reopen,
  }) => {
    const other = content("another");
    await write(accepting("t1", [image, text]), accepting("t2", [other]), accepting("t3", [image], b));
    await write(appendingWith(event(1), text), appendingWith(event(1, b), other));
    await write({ type: "session_forgotten", session: '"a"' });
    deepEqual(await stored(journal, image, text, other), [true, false, true]);
    await write({ type: "session_erased", session: '"b"', as: '"e"' }, accepting("t4", [text]));
    await reopen();
    deepEqual(await stored(journal, image, text, other), [false, true, false]);
  },

  "returns a content of a session only if an event or a turn of the session refers to it": async ({
    journal,
    write,
    reopen,
  }) => {
    const [inner, other] = [content("inner"), content("another")];
    const found = async (session: string): Promise<boolean[]> => {
      const contents = [image, text, inner, other];
      const read = await Promise.all(contents.map(({ hash }) => journal.content(hash, session)));
      read.forEach((one, index) => {
        if (one !== undefined) deepEqual(one, contents[index]);
      });
      return read.map((one) => one !== undefined);
    };
    await write(accepting("t1", [image, inner]), accepting("t2", [image], b), accepting("t3", [image], b));
    await write(appendingWith(event(1), text), appendingWith(event(1, b), other), appendingWith(event(2, b), other));
    await reopen();
    deepEqual(await found('"a"'), [true, true, true, false]);
    deepEqual(await found('"b"'), [true, false, false, true]);
    // Neither the beginning of a key nor an unknown session.
    deepEqual(await found('"'), [false, false, false, false]);
    deepEqual(await found(""), [false, false, false, false]);
    // An event refers to a content that another session's turn brought.
    await write({ type: "event_appended", event: event(3, { ...b, contents: [inner.hash] }) });
    deepEqual(await found('"b"'), [true, false, true, true]);
    // Each session loses a content with its own last reference.
    await write(...ending("t1", "t2"));
    await prune(journal, "turns");
    deepEqual(await found('"a"'), [false, true, false, false]);
    deepEqual(await found('"b"'), [true, false, true, true]);
    await prune(journal, "events");
    deepEqual(await found('"b"'), [true, false, false, false]);
    await write({ type: "turn_withdrawn", turn: "t3" });
    deepEqual(await found('"b"'), [false, false, false, false]);
    // Forgetting one session leaves another's reference.
    await write(accepting("t4", [image]), accepting("t5", [image], b), { type: "session_forgotten", session: '"a"' });
    deepEqual(await found('"a"'), [false, false, false, false]);
    deepEqual(await found('"b"'), [true, false, false, false]);
  },

  "stores the contents of a prompt once, however often its batch is written": async ({ journal }) => {
    const changes = [accepting("t1", [image])];
    await journal.write({ number: 1, changes, durable: false });
    await journal.write({ number: 1, changes, durable: true });
    deepEqual(await stored(journal, image), [true]);
    await journal.write({ number: 2, changes: ending("t1"), durable: true });
    await prune(journal, "turns");
    deepEqual(await stored(journal, image), [false]);
  },
};
