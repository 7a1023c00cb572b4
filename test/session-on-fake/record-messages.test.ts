import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { nameKey } from "../../src/names.ts";
import { withContents } from "../../src/session/record/stored-contents.ts";
import type { Session } from "../../src/session/session.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { expectNothingLeft, run } from "./application.ts";
import { collect, Scene, unique } from "./scene.ts";

/** Returns the recorded messages of a session, whole, and the ids of their turns. */
async function recorded(session: Session): Promise<{ messages: unknown[]; turns: (string | undefined)[] }> {
  const events = await collect(session.events({ types: ["message_recorded"], live: false }));
  const messages: unknown[] = [];
  for (const { raw } of events) messages.push(await withContents(raw, (reference) => session.content(reference)));
  return { messages, turns: events.map(({ turnId }) => turnId) };
}

const journals: [string, () => Journal][] = [
  ["memory", () => memoryJournal()],
  ["sqlite", () => sqliteJournal({ sqlite: `${newFolder()}/castellan.db` })],
];

test.each(journals)(
  "recordMessages: has each message as it came, without pieces, also after a restart: %s",
  async (_, open) => {
    const journal = open();
    const name = unique();
    const large = "x".repeat(200_000);
    const fake = fakeClaude(async (turn) => {
      await turn.partial("a piece, ");
      await turn.text("and the rest");
      await turn.toolUse("Read", { file_path: "/x" }, { result: large });
      await turn.text("done");
    });
    const children = [{ name, includePartialMessages: true, recordMessages: true }];
    const first = await run({ fake, journal }, children);
    const turn = first.session(name).stream("go");
    const seen = await collect(turn);
    expect(seen.some(({ type }) => type === "stream_event")).toBe(true);
    const whole = JSON.parse(JSON.stringify(seen.filter(({ type }) => type !== "stream_event")));
    await turn.result();
    const { messages, turns } = await recorded(first.session(name));
    expect(messages.filter((_message, index) => turns[index] === turn.id)).toEqual(whole);
    expect(JSON.stringify(whole)).toContain(large);
    // The tool's result is stored once, whatever names it.
    const extent = await journal.eventExtent(nameKey(name));
    const events = await collect(first.session(name).events({ live: false }));
    expect(events.findIndex(({ type }) => type === "turn_ended")).toBeGreaterThan(
      events.findLastIndex((event) => event.type === "message_recorded" && event.turnId === turn.id),
    );
    expect(extent?.bytes).toBeLessThan(3 * large.length);
    const exported = (await Array.fromAsync(first.exportSession(name))).join("");
    expect(exported).toContain('"message_recorded"');
    expect((await first.session(name).history()).entries).toMatchObject([
      { type: "turn" },
      ...[{ type: "model_changed" }, { type: "permission_mode_changed" }],
    ]);
    await first.stop();
    const second = await run({ fake, journal }, children);
    expect((await recorded(second.session(name))).messages.slice(0, messages.length)).toEqual(messages);
    await second.eraseSession(name);
    expect(await Array.fromAsync(journal.records(nameKey(name)))).toEqual([]);
    await second.stop();
    expectNothingLeft(fake);
  },
);

test("recordMessages: is off by default, and a change takes effect at once", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("hi") });
  const { session } = scene;
  await session.query("one");
  expect((await recorded(session)).messages).toEqual([]);
  await scene.supervisor.reconcile([{ name: scene.name, recordMessages: true }]);
  const { turnId } = await session.query("two");
  expect((await recorded(session)).turns).toContain(turnId);
  expect(session.status().starts).toBe(1);
});
