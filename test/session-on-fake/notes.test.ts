import { expect, test } from "vitest";
import type { NoteOptions } from "../../src/session/options/note.ts";
import { collect, failure, Scene } from "./scene.ts";

test("session.note(): adds an event to the record, and Claude does not see it", async () => {
  await using scene = await Scene.open();
  const { session } = scene;
  await session.query("hello");
  const id = await session.note({ kind: "rating", data: { stars: 5, of: ["a"] }, by: "ann" });
  const bare = await session.note({ kind: "seen" });
  expect(bare).not.toBe(id);
  const events = await collect(session.events({ live: false, types: ["turn_ended", "noted"] }));
  expect(events).toMatchObject([
    { type: "turn_ended" },
    { type: "noted", id, kind: "rating", data: { stars: 5, of: ["a"] }, by: "ann" },
    { type: "noted", id: bare, kind: "seen" },
  ]);
  expect(events[2]).not.toHaveProperty("by");
  expect(scene.transcript().join()).not.toContain("rating");
});

test("session.note(): refuses what is not a note", async () => {
  await using scene = await Scene.open();
  const wrong = [
    {},
    { kind: "" },
    { kind: "a", data: [1] },
    { kind: "a", data: { big: "x".repeat(20_000) } },
    { kind: "a", x: 1 },
  ];
  for (const note of wrong) await failure(scene.session.note(note as NoteOptions), "INVALID_OPTIONS");
  expect(await scene.session.pastEvents({ types: ["noted"] })).toEqual([]);
});
