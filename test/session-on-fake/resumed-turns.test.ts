import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { eventually, unique } from "./scene.ts";

test.each([
  ["maxProcesses", { maxProcesses: 1 }],
  ["maxConcurrentTurns", { maxConcurrentTurns: 1 }],
])("%s: turns of an earlier run let a new one pass, and lose none", async (_, capacity) => {
  const answered: string[] = [];
  let gate = Promise.withResolvers<void>();
  const fake = fakeClaude(async (turn) => {
    await gate.promise;
    answered.push(turn.prompt);
    await turn.text("done");
  });
  const both = { fake, journal: memoryJournal() };
  const [busy, present, ...old] = ["busy", "present", "a", "b", "c"].map((name) => unique(name));
  const children = [busy, present, ...old].map((name = "") => ({ name, activation: "lazy" as const }));

  const first = await run(both, children, { capacity });
  const cut = first.query(busy ?? "", "cut");
  cut.catch(() => {});
  await fake.prompted(1);
  for (const turn of [1, 2, 3]) {
    for (const [index, name] of old.entries()) await first.session(name).enqueue(`${"abc"[index]}${turn}`);
  }
  await first.stop();
  await expect(cut).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  gate = Promise.withResolvers();
  const prompted = fake.processes.flatMap(({ prompts }) => prompts).length;
  await using second = await run(both, children, { capacity });
  await fake.prompted(prompted + 1);
  const reply = second.query(present ?? "", "new");
  // Two others wait already.
  await eventually(() => second.capacity().waiting + second.capacity().turns.waiting === 3);
  gate.resolve();
  await reply;
  expect(answered.indexOf("new"), answered.join()).toBe(1);
  for (const name of old) {
    const turns = await second.session(name).turns();
    for (const { id } of turns) await (await second.session(name).turn(id))?.result();
  }
  const resumed = answered.filter((prompt) => prompt !== "new");
  expect(resumed.toSorted()).toEqual(["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"]);
  for (const letter of "abc") {
    const own = resumed.filter((prompt) => prompt.startsWith(letter));
    expect(own).toEqual(own.toSorted());
  }
});
