import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { JsonObject } from "../../src/journal/model/session-entry.ts";
import { pool } from "../../src/pool/pool-options.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "./application.ts";
import { failure, Scene, unique } from "./scene.ts";

test("turn.metadata: is what JSON makes of the caller's object, unchanged by later changes to it", async () => {
  await using scene = await Scene.open();
  const given = { user: "ann", tags: ["a", null], nested: { n: 1.5 }, left: undefined };
  const turn = scene.session.stream("hello", { metadata: given as unknown as JsonObject });
  given.user = "bob";
  expect(turn.metadata).toEqual({ user: "ann", tags: ["a", null], nested: { n: 1.5 } });
  expect(turn.origin).toBe("caller");
  await turn.result();
  expect(scene.session.stream("hello").metadata).toBeUndefined();
  const accepted = await scene.session.pastEvents({ types: ["turn_accepted"] });
  expect(accepted.at(-1)).toMatchObject({ turnId: turn.id, metadata: { user: "ann" } });
});

test("turn.metadata: is refused if it is no JSON object or too large, and its content is not in the message", async () => {
  await using scene = await Scene.open();
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  const wrong: readonly (readonly [unknown, string])[] = [
    ["text", "expected a JSON object"],
    [["a"], "expected a JSON object"],
    [null, "expected a JSON object"],
    [() => {}, "expected a JSON object"],
    [new Date(0), "expected a JSON object"],
    [cyclic, "cannot be written as JSON"],
    [{ n: 1n }, "cannot be written as JSON"],
    [{ word: "x".repeat(16 * 1024) }, "at most 16384 are allowed"],
  ];
  for (const [metadata, words] of wrong) {
    const error = await failure(
      scene.session.query("hello", { metadata: metadata as unknown as JsonObject }),
      "INVALID_OPTIONS",
    );
    expect(error.details.problems).toEqual([{ field: "metadata", message: expect.stringContaining(words) }]);
  }
  await scene.session.query("hello", { metadata: { word: "x".repeat(16 * 1024 - 11) } });
  expect(scene.fake.processes).toHaveLength(1);
});

test("turn.metadata: survives a restart of the application, for turns that wait and turns that have ended", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, activation: "lazy" }]);
  const ended = await first.session(name).enqueue("one", { metadata: { n: 1 } });
  await (await first.session(name).turn(ended))?.result();
  const key = { idempotencyKey: "k", metadata: { n: 2 } };
  const keyed = first.session(name).stream("two", key);
  await keyed.result();
  await first.stop();
  await using second = await run(both, [{ name }]);
  const session = second.session(name);
  const found = await session.turn(ended);
  expect([found?.metadata, found?.origin, found?.recalled]).toEqual([{ n: 1 }, "caller", true]);
  expect(found?.promptId).toEqual(expect.any(String));
  // The options of the first call count.
  const again = session.stream("two", { ...key, metadata: { n: 3 } });
  await again.result();
  expect([again.id, again.metadata, again.promptId]).toEqual([keyed.id, { n: 2 }, keyed.promptId]);
  await second.stop();
  expectNothingLeft(both.fake);
});

test("turn.promptId: is the id of the prompt in the conversation, another one for each attempt", async () => {
  let dies = true;
  await using scene = await Scene.open({
    script: async (turn) => {
      if (dies) {
        dies = false;
        await turn.crash();
      }
      await turn.text("done");
    },
  });
  const turn = scene.session.stream("hello");
  expect(turn.promptId).toBeUndefined();
  await turn.result();
  const started = await scene.session.pastEvents({ types: ["turn_started"], turn: turn.id });
  const ids = started.flatMap((event) => (event.type === "turn_started" ? [event.promptId] : []));
  expect(new Set(ids).size).toBe(2);
  expect(turn.promptId).toBe(ids[0]);
});

test("pool.stream(): keeps the metadata of a turn, also while it waits for a member", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const turns = [1, 2].map((n) => scene.supervisor.pool(name).stream(`number ${n}`, { metadata: { n } }));
  expect(turns.map(({ metadata }) => metadata)).toEqual([{ n: 1 }, { n: 2 }]);
  await Promise.all(turns.map((turn) => turn.result()));
  expect(turns.map(({ metadata, origin }) => [metadata, origin])).toEqual([
    [{ n: 1 }, "caller"],
    [{ n: 2 }, "caller"],
  ]);
  expect(turns[1]?.promptId).toEqual(expect.any(String));
});
