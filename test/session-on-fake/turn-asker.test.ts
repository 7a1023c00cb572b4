import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { pool } from "../../src/pool/pool-options.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { failure, Scene, unique } from "./scene.ts";

const journals: [string, () => Journal][] = [
  ["memory", () => memoryJournal()],
  ["sqlite", () => sqliteJournal({ sqlite: `${newFolder()}/castellan.db` })],
];

test.each(journals)(
  "by: is in the turn, its event, lists and the history, also after a restart: %s",
  async (_, open) => {
    const both = {
      fake: fakeClaude((turn) => (turn.prompt === "hang" ? turn.hang() : turn.text("yes"))),
      journal: open(),
    };
    const name = unique();
    const first = await run(both, [{ name, onInterruptedTurn: "fail" }]);
    const turn = first.session(name).stream("one", { by: "ann" });
    expect(turn.by).toBe("ann");
    await turn.result();
    const running = first.session(name).stream("hang", { idempotencyKey: "r", by: "bob" });
    const waiting = await first.session(name).enqueue("two", { by: "carol" });
    for await (const _event of first.session(name).events({ after: 0, types: ["turn_started"] })) break;
    await first.stop();
    const second = await run(both, [{ name, onInterruptedTurn: "fail" }]);
    const session = second.session(name);
    await (await session.turn(waiting))?.result();
    for (const [id, by] of [
      [turn.id, "ann"],
      [running.id, "bob"],
      [waiting, "carol"],
    ] as const) {
      expect((await session.turn(id))?.by).toBe(by);
      expect((await session.turns()).find((one) => one.id === id)?.by).toBe(by);
      expect(await session.pastEvents({ turn: id, types: ["turn_accepted"] })).toMatchObject([{ by }]);
      const { entries } = await session.history();
      expect(entries.find((entry) => entry.type === "turn" && entry.id === id)).toMatchObject({ by });
    }
    expect((await Array.fromAsync(second.exportSession(name))).join("")).toContain('"by":"carol"');
    await second.stop();
    expectNothingLeft(both.fake);
  },
);

test("by: is refused unless it is a text of 1 to 256 characters", async () => {
  await using scene = await Scene.open({ children: [{ name: unique() }, pool(unique("pool"), { size: 1 })] });
  const { supervisor } = scene;
  const [name] = supervisor.listSessions().map((status) => status.name);
  for (const by of ["", "x".repeat(257), 7 as unknown as string]) {
    const calls = [
      () => supervisor.session(name ?? "").query("hello", { by }),
      () => supervisor.session(name ?? "").enqueue("hello", { by, every: "1h" }),
    ];
    for (const call of calls) {
      const error = await failure(call(), "INVALID_OPTIONS");
      expect(error.details.problems.map(({ field }) => field)).toEqual(["by"]);
    }
  }
  expect((await supervisor.session(name ?? "").query("hello", { by: "x".repeat(256) })).text).not.toBe("");
});

test("by: is in the turns of pools, and in their jobs", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    children: [pool(name, { size: 1 })],
    script: (turn) => (turn.prompt === "hold" ? turn.hang() : turn.text("yes")),
  });
  const own = scene.supervisor.pool(name);
  const held = own.stream("hold", { by: "ann" });
  expect(held.by).toBe("ann");
  const id = await own.enqueue("job", { by: "bob" });
  expect((await own.turns()).find((one) => one.id === id)).toMatchObject({ by: "bob", state: "queued" });
  expect((await own.turn(id))?.by).toBe("bob");
  await held.interrupt();
  await (await own.turn(id))?.result();
  expect((await own.turns()).map(({ by }) => by)).toEqual(["bob", "ann"]);
});

test("by: is in the turns of a schedule", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "ls" });
      await turn.text("yes");
    },
  });
  const { session } = scene;
  const id = await session.enqueue("later", { runAt: clock.now() + 1_000, by: "ann" });
  expect(await session.schedules()).toMatchObject([{ id, by: "ann" }]);
  await clock.advance(2_000);
  await expect.poll(async () => (await session.turns())[0]?.state).toBe("completed");
  expect(await session.turns()).toMatchObject([{ id, by: "ann" }]);
});

test('by: is in the message that a call with `whenBusy: "steer"` gives to a turn, and in the turn that it becomes', async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "ls" });
      await gate.promise;
      await turn.text("yes");
    },
  });
  const { session } = scene;
  const turn = session.stream("go", { by: "ann" });
  for await (const _ of session.events({ after: 0, types: ["tool_result"] })) break;
  expect(session.stream("faster", { by: "bob", whenBusy: "steer" }).id).toBe(turn.id);
  gate.resolve();
  await turn.result();
  expect(await session.pastEvents({ types: ["steered"] })).toMatchObject([{ text: "faster", by: "bob" }]);
  const next = await turn.steer("again", { by: "carol", afterEnd: "enqueue" });
  expect([turn.by, next.by]).toEqual(["ann", "carol"]);
  await next.result();
});
