import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "../session-on-fake/application.ts";
import { Scene, ticks, unique } from "../session-on-fake/scene.ts";

test("a turn cancelled in the queue: runs neither on the next process nor after a restart of the application", async () => {
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "long") await turn.hang();
    await turn.text(`re: ${turn.prompt}`);
  });
  const both = { fake, journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, onInterruptedTurn: "fail" }]);
  const session = first.session(name);
  await session.enqueue("long");
  const cancelled = await session.turn(await session.enqueue("never"));
  await session.enqueue("wanted");
  await fake.prompted(1);
  await cancelled?.interrupt();
  fake.processes[0]?.crash();
  expect((await first.query(name, "after the crash")).text).toBe("re: after the crash");
  await first.stop();
  await using second = await run(both, [{ name }]);
  await second.query(name, "after the restart");
  const prompts = fake.processes.flatMap((process) => process.prompts);
  expect(prompts).toEqual(["long", "wanted", "after the crash", "after the restart"]);
  expect(cancelled?.state).toBe("cancelled");
  await second.stop();
  expectNothingLeft(fake);
});

test("a turn queued while another turn runs a tool: does not join that turn", async () => {
  const open = Promise.withResolvers<object>();
  const joined: string[] = [];
  await using scene = await Scene.open({
    session: { hooks: { PreToolUse: [{ hooks: [() => open.promise] }] } },
    script: async (turn) => {
      if (turn.prompt === "one") await turn.toolUse("Bash", { command: "make" }, { result: "made" });
      joined.push(...turn.joined);
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const one = stream(scene.name, "one");
  for await (const _ of one.toolUses()) break;
  const others = ["two", "three"].map((prompt) => query(scene.name, prompt));
  await ticks(3);
  open.resolve({});
  const replies = await Promise.all([one.result(), ...others]);
  expect(replies.map(({ text }) => text)).toEqual(["re: one", "re: two", "re: three"]);
  expect(joined).toEqual([]);
  expect(scene.fake.processes[0]?.prompts).toEqual(["one", "two", "three"]);
});

test("readers that leave in the middle of a turn: hold up neither that turn nor the next one", async () => {
  const left = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("begun, ");
      if (turn.prompt === "one") await left.promise;
      await turn.text("x".repeat(5_000), { partials: 5_000 });
    },
  });
  const turn = stream(scene.name, "one");
  const forgotten = turn.text();
  await forgotten.next();
  for await (const _ of turn) break;
  const thrown = await (async (): Promise<void> => {
    for await (const _ of turn.deltas()) throw new Error("the page is gone");
  })().catch(String);
  const page = turn.toResponse().body?.getReader();
  await page?.read();
  await page?.cancel();
  const next = query(scene.name, "two");
  left.resolve();
  expect(thrown).toContain("the page is gone");
  expect((await turn.result()).text).toHaveLength(5_007);
  expect((await next).text).toHaveLength(5_007);
});
