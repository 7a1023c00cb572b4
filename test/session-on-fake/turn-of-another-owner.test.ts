import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { AcceptedTurn } from "../../src/journal/model/turn-entry.ts";
import { nameKey } from "../../src/names.ts";
import { OWNER } from "../../src/testing/conformance/journal-case.ts";
import { Scene, unique } from "./scene.ts";

/** A scene whose journal has a turn that another owner of the session has accepted since the session was restored. */
async function sceneOf(
  shared: boolean,
): Promise<{ readonly scene: Scene; readonly write: (change: Change) => Promise<void> }> {
  const journal: Journal = Object.assign(memoryJournal(), { shared });
  const scene = await Scene.open({ options: { journal } });
  await scene.session.query("before");
  const write = (change: Change): Promise<void> => journal.write({ number: 1_000, durable: true, changes: [change] });
  const session = nameKey(scene.session.name);
  const accepted = { id: "theirs", session, prompt: "hello", position: 0, durable: true, acceptedAt: 1 };
  await write({ type: "turn_accepted", turn: accepted });
  return { scene, write };
}

test("session.turn(): an owner that does not have an accepted turn of a shared journal says that it is none any more", async () => {
  const { scene } = await sceneOf(true);
  await using _ = scene;
  await expect(scene.session.turn("theirs")).rejects.toMatchObject({ code: "NOT_OWNER" });
  expect(await scene.session.turn("nobody's")).toBeUndefined();
});

test("session.turn(): an accepted turn of a journal of its own that the session does not have is none", async () => {
  const { scene } = await sceneOf(false);
  await using _ = scene;
  expect(await scene.session.turn("theirs")).toBeUndefined();
});

test.each([
  { what: "a turn of a shared journal that another owner has just accepted", shared: true, ageMs: 1_000, again: true },
  { what: "an old one", shared: true, ageMs: 10 * 60_000, again: false },
  { what: "one of a journal of its own", shared: false, ageMs: 1_000, again: false },
])("a restored session: $what is accepted again: $again", async ({ shared, ageMs, again }) => {
  const journal: Journal = Object.assign(memoryJournal(), { shared });
  const name = unique();
  const acceptedAt = Date.now() - ageMs;
  const limits = { timeoutMs: 1e9, queueTimeoutMs: 1e9 };
  const asked = { prompt: "hello", position: 3, durable: true, by: "ann", metadata: { n: 1 } };
  const turn: AcceptedTurn = { id: "theirs", session: nameKey(name), acceptedAt, ...limits, ...asked };
  await journal.open(OWNER);
  await journal.write({ number: 1, durable: true, changes: [{ type: "turn_accepted", turn }] });
  await journal.close();
  const changes: Change[] = [];
  const write = journal.write.bind(journal);
  journal.write = async (batch) => {
    changes.push(...batch.changes);
    await write(batch);
  };
  await using scene = await Scene.open({ options: { journal }, children: [{ name }] });
  const reply = await (await scene.session.turn("theirs"))?.result();
  expect(reply?.text).toContain("hello");
  const written = changes.filter(({ type }) => type === "turn_accepted" || type === "turn_begun");
  const begun = { type: "turn_begun", turn: "theirs", promptId: expect.any(String), attempt: 1 };
  expect(written).toEqual([...(again ? [{ type: "turn_accepted", turn }] : []), begun]);
});
