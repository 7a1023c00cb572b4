import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { failure, Scene, thrown, unique } from "./scene.ts";

const idempotencyKey = "order-7";

test("idempotencyKey: returns the same turn and reply while it is queued, running and finished", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await open.promise;
      await turn.text(`${turn.index}`);
    },
  });
  const { session } = scene;
  const ids = await Promise.all([1, 2, 3].map(() => session.enqueue("go", { idempotencyKey })));
  expect(new Set(ids).size).toBe(1);
  const stream = session.stream("go", { idempotencyKey });
  expect(stream.id).toBe(ids[0]);
  await scene.fake.prompted(1);
  const asked = session.query("go", { idempotencyKey });
  open.resolve();
  const reply = await stream.result();
  expect(await asked).toBe(reply);
  expect(await session.enqueue("go", { idempotencyKey })).toBe(reply.turnId);
  expect(await session.query("go", { idempotencyKey })).toEqual(reply);
  expect(scene.fake.processes[0]?.prompts).toEqual(["go"]);
});

test("idempotencyKey: returns the same turn from the journal, also after a restart of the application", async () => {
  const both = { fake: fakeClaude((turn) => turn.text(`${turn.index}`)), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const reply = await first.query(name, "go", { idempotencyKey });
  for (let n = 0; n < 17; n++) await first.query(name, "other");
  expect(await first.query(name, "go", { idempotencyKey })).toEqual(reply);
  await first.stop();
  await using second = await run(both, [{ name }]);
  expect(await second.session(name).enqueue("go", { idempotencyKey })).toBe(reply.turnId);
  expect(await second.query(name, "go", { idempotencyKey })).toEqual(reply);
  const turn = second.stream(name, "go", { idempotencyKey });
  expect(turn.id).toBe(reply.turnId);
  expect(await turn.result()).toEqual(reply);
  expect(turn.recalled).toBe(true);
  expect(both.fake.processes.flatMap(({ prompts }) => prompts).filter((prompt) => prompt === "go")).toHaveLength(1);
});

test("idempotencyKey: returns the same error for a failed turn and does not run it again", async () => {
  const both = { fake: fakeClaude((turn) => turn.result({ subtype: "error_max_turns" })), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const error = await failure(first.query(name, "go", { idempotencyKey }), "TURN_FAILED");
  const again = await failure(first.query(name, "go", { idempotencyKey }), "TURN_FAILED");
  expect(again).toBe(error);
  await first.stop();
  await using second = await run(both, [{ name }]);
  const recalled = await failure(second.query(name, "go", { idempotencyKey }), "TURN_FAILED");
  expect([recalled.message, recalled.details]).toEqual([error.message, { ...error.details }]);
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).toEqual(["go"]);
});

test("idempotencyKey: rejects another prompt under the same key with INVALID_OPTIONS", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  await first.query(name, "go", { idempotencyKey });
  await thrown(() => first.stream(name, "stop", { idempotencyKey }), "INVALID_OPTIONS");
  await first.stop();
  await using second = await run(both, [{ name }]);
  const error = await failure(second.session(name).enqueue("stop", { idempotencyKey }), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("idempotencyKey");
  expect((await second.query(name, "go", { idempotencyKey })).text).toBe("You said: go");
  expect(both.fake.processes[1]?.prompts).toEqual([]);
});

test("idempotencyKey: is scoped to its session, and rejects an empty key", async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({ children: [{ name: a }, { name: b }] });
  const [one, two] = [a, b].map((name) => scene.supervisor.stream(name, "go", { idempotencyKey }));
  expect(one?.id).not.toBe(two?.id);
  await thrown(() => scene.supervisor.stream(a, "go", { idempotencyKey: "" }), "INVALID_OPTIONS");
  await Promise.all([one?.result(), two?.result()]);
});

test('idempotencyKey: a repeated turn with `whenBusy: "interrupt"` interrupts once', async () => {
  await using scene = await Scene.open({
    script: async (turn) => (turn.prompt === "long" ? turn.hang() : turn.text(turn.prompt)),
  });
  const long = scene.session.stream("long");
  await scene.fake.prompted(1);
  const options = { idempotencyKey, whenBusy: "interrupt" } as const;
  const replies = await Promise.all([1, 2].map(() => scene.session.query("now", options)));
  await failure(long.result(), "TURN_INTERRUPTED");
  expect(replies[0]).toBe(replies[1]);
  const another = scene.session.stream("long");
  await scene.fake.prompted(3);
  expect(await scene.session.query("now", options)).toBe(replies[0]);
  expect(another.state).toBe("running");
  await another.interrupt();
});

test("idempotencyKey: the turn behind a repeated one begins as soon as the journal has answered", {
  timeout: 5_000,
}, async () => {
  const other = unique("other");
  await using scene = await Scene.open({ children: [{ name: unique() }, { name: other }] });
  const { session, supervisor } = scene;
  const { turnId } = await session.query("go", { idempotencyKey });
  // Sixteen ended turns stay in memory, so only the journal has this one's reply.
  for (let count = 0; count < 17; count++) await session.query(`${count}`);
  // While a write is pending, the journal answers reads together with the next write.
  const enqueued = supervisor.session(other).enqueue("write");
  const [again, behind] = await Promise.all([session.query("go", { idempotencyKey }), session.query("behind")]);
  expect(again.turnId).toBe(turnId);
  expect(behind.text).toBe("You said: behind");
  await enqueued;
});
