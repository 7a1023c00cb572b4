import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { collect, failure, Scene, ticks } from "./scene.ts";

test("session.enqueue(): returns an id by which turn() finds the turn while it is queued, running and finished", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "first") await open.promise;
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const first = await scene.session.enqueue("first");
  const second = await scene.session.enqueue("second");
  await scene.fake.prompted(1);
  const found = await Promise.all([first, second].map((id) => scene.session.turn(id)));
  expect(found.map((turn) => turn?.state)).toEqual(["running", "queued"]);
  const [, waiting] = found;
  open.resolve();
  expect((await waiting?.result())?.text).toBe("re: second");
  const ended = await scene.session.turn(first);
  expect(ended?.state).toBe("completed");
  expect((await ended?.result())?.turnId).toBe(first);
  expect(await scene.session.turn("no such turn")).toBeUndefined();
});

test("turn.messages(n): resumes at a number while the turn runs and afterwards", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("one ");
      await open.promise;
      await turn.text("two");
    },
  });
  const turn = stream(scene.name, "go");
  let seen = -1;
  for await (const { number, message } of turn.messages()) {
    seen = number;
    if (message.type === "stream_event" && message.event.type === "content_block_delta") break;
  }
  const again = await scene.session.turn(turn.id);
  if (again === undefined) throw new Error("not found");
  const rest = again.messages(seen + 1);
  open.resolve();
  const later = await collect(rest);
  expect(later[0]?.number).toBe(seen + 1);
  expect(later.at(-1)?.message.type).toBe("result");
  expect(await collect(again.messages(seen + 1))).toEqual(later);
  expect((await collect(turn)).length).toBe(seen + 1 + later.length);
});

test("session.turn(): returns a turn that can be interrupted and rejects with the same error", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const turn = stream(scene.name, "go");
  await scene.fake.prompted(1);
  const again = await scene.session.turn(turn.id);
  await again?.interrupt();
  const errors = await Promise.all([
    failure(turn.result(), "TURN_INTERRUPTED"),
    failure(again?.result() ?? Promise.resolve(), "TURN_INTERRUPTED"),
  ]);
  expect(errors[0]).toBe(errors[1]);
});

test("session.turn(): keeps the messages of the last sixteen ended turns, and the outcome of older ones", async () => {
  await using scene = await Scene.open();
  const ids: string[] = [];
  for (let n = 0; n < 18; n++) ids.push((await query(scene.name, `${n}`)).turnId);
  await ticks(1);
  const found = await Promise.all(ids.map((id) => scene.session.turn(id)));
  expect(found.map((turn) => turn?.state)).toEqual(ids.map(() => "completed"));
  expect(found.map((turn) => turn?.recalled)).toEqual([true, true, ...Array.from({ length: 16 }, () => false)]);
  const [first] = found;
  if (first === undefined) throw new Error("not found");
  expect((await first.result()).text).toBe("You said: 0");
  expect(await collect(first.text())).toEqual(["You said: 0"]);
  await failure(collect(first.messages()), "EVENTS_LOST");
});

test("session.turn(): keeps all queued turns", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: () => open.promise });
  const ids = await Promise.all(Array.from({ length: 40 }, (_, n) => scene.session.enqueue(`${n}`)));
  const found = await Promise.all(ids.map((id) => scene.session.turn(id)));
  expect(found.filter((turn) => turn === undefined || turn.recalled)).toEqual([]);
  const last = found.at(-1)?.result();
  open.resolve();
  await last;
});
