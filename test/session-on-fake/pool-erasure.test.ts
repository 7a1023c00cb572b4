import { expect, test } from "vitest";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Pool } from "../../src/pool/pool.ts";
import type { ExportedLine } from "../../src/session/persistence/session-export.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { collect, failure, Scene, unique } from "./scene.ts";

async function eventsOf(jobs: Pool, id: string): Promise<SessionEvent[]> {
  return await collect((await jobs.turn(id))?.events() ?? (async function* () {})());
}

async function exported(lines: AsyncIterable<string>): Promise<ExportedLine[]> {
  return (await Array.fromAsync(lines)).map((line) => JSON.parse(line) as ExportedLine);
}

/** Opens a pool of one member that answers a prompt with its text, and waits in the one that is "hang". */
function open(name: string): Promise<Scene> {
  return Scene.open({
    children: [pool(name, { size: 1 })],
    script: async (turn) => {
      if (turn.prompt === "hang") await turn.hang();
      await turn.text(turn.prompt);
    },
  });
}

test("a cancelled job: has its events, for a reader of before, afterwards, and after a restart", async () => {
  const name = unique("pool");
  const both = {
    fake: fakeClaude(async (turn) => {
      await turn.hang();
    }),
    journal: memoryJournal(),
  };
  const first = await run(both, [pool(name, { size: 1 })]);
  const jobs = first.pool(name);
  const runs = await jobs.enqueue("runs");
  await both.fake.prompted(1);
  // Large enough to be stored beside the events.
  const id = await jobs.enqueue("waits ".repeat(20_000), { metadata: { user: 7 } });
  const another = await jobs.enqueue("another");
  const turn = await jobs.turn(id);
  const before = collect(turn?.events() ?? (async function* () {})());
  await turn?.interrupt();
  await (await jobs.turn(another))?.interrupt();
  const told = [
    { type: "turn_accepted", turnId: id, number: 1, origin: "caller", metadata: { user: 7 } },
    { type: "turn_ended", turnId: id, number: 2, state: "cancelled", error: { code: "TURN_CANCELLED" } },
  ];
  expect(await before).toMatchObject(told);
  const events = await eventsOf(jobs, id);
  expect(events).toMatchObject(told);
  const [accepted] = events;
  const prompt = accepted?.type === "turn_accepted" ? accepted.prompt : undefined;
  expect(prompt).toMatchObject({ $content: expect.any(String), size: 120_000 });
  expect((await eventsOf(jobs, another)).map(({ number }) => number)).toEqual([3, 4]);
  await (await jobs.turn(runs))?.interrupt();
  await first.stop();
  const second = await run(both, [pool(name, { size: 1 })]);
  expect(await eventsOf(second.pool(name), id)).toMatchObject(told);
  // The numbers continue after a restart.
  const busy = await second.pool(name).enqueue("runs");
  await both.fake.prompted(2);
  const third = await second.pool(name).enqueue("third");
  await (await second.pool(name).turn(third))?.interrupt();
  expect((await eventsOf(second.pool(name), third)).map(({ number }) => number)).toEqual([5, 6]);
  await (await second.pool(name).turn(busy))?.interrupt();
  await second.stop();
});

test("eraseSession(pool): erases jobs that wait, run, have ended and were cancelled, with their events", async () => {
  const name = unique("pool");
  await using scene = await open(name);
  const { supervisor, fake } = scene;
  const jobs = supervisor.pool(name);
  const done = await jobs.enqueue("private done", { idempotencyKey: "done" });
  await (await jobs.turn(done))?.result();
  const runs = await jobs.enqueue("hang");
  await fake.prompted(2);
  const waits = await jobs.enqueue("private waits");
  const later = await jobs.enqueue("private later", { delay: "1h" });
  const cancelled = await jobs.enqueue("private cancelled");
  await (await jobs.turn(cancelled))?.interrupt();
  const running = failure((await jobs.turn(runs))?.result() ?? Promise.reject(), "TURN_INTERRUPTED");
  const waiting = failure((await jobs.turn(waits))?.result() ?? Promise.reject(), "TURN_CANCELLED");

  const lines = await exported(supervisor.exportSession(name));
  const prompts = lines.flatMap((line) => (line.type === "turn" || line.type === "job" ? [line.prompt] : []));
  expect(prompts.toSorted()).toEqual(["hang", "private cancelled", "private done", "private later", "private waits"]);
  expect(lines.filter(({ type }) => type === "session")).toMatchObject([{ name }, { name: [name, 0] }]);

  const report = await supervisor.eraseSession(name);
  expect(report).toMatchObject({ name, turns: 3, jobs: 2 });
  expect(report.events).toBeGreaterThan(6);
  expect(report.spentBy?.[0]).toBe("erased");
  await Promise.all([running, waiting]);
  for (const id of [done, runs, waits, later, cancelled]) expect(await jobs.turn(id)).toBeUndefined();
  expect(await jobs.turns()).toEqual([]);
  expect(jobs.status()).toMatchObject({ jobs: 0 });
  const after = await exported(supervisor.exportSession(name));
  expect(JSON.stringify(after)).not.toContain("private");
  expect((await supervisor.usage({ by: ["session"] })).map(({ session }) => session?.[0])).toEqual(["erased"]);
  // The pool goes on, and a key of before is free.
  const again = await jobs.enqueue("again", { idempotencyKey: "done" });
  expect(await (await jobs.turn(again))?.result()).toMatchObject({ text: "again" });
  expect(await supervisor.eraseSession(name)).toMatchObject({ turns: 1, jobs: 0 });
});

test("eraseSession(pool): lets jobs that come meanwhile wait, and runs them afterwards", async () => {
  const name = unique("pool");
  await using scene = await open(name);
  const { supervisor, fake } = scene;
  const jobs = supervisor.pool(name);
  await jobs.enqueue("hang");
  await fake.prompted(1);
  const before = await Promise.all(Array.from({ length: 5 }, (_, n) => jobs.enqueue(`before ${n}`)));
  const [report, other, meanwhile] = await Promise.all([
    supervisor.eraseSession(name),
    supervisor.eraseSession(name),
    jobs.enqueue("meanwhile"),
  ]);
  expect(report.jobs + other.jobs).toBeGreaterThanOrEqual(5);
  for (const id of before) expect(await jobs.turn(id)).toBeUndefined();
  // It was accepted before the second erasure, or after it.
  const turn = await jobs.turn(meanwhile);
  if (turn !== undefined) expect(await turn.result()).toMatchObject({ text: "meanwhile" });
  const next = await jobs.enqueue("next");
  expect(await (await jobs.turn(next))?.result()).toMatchObject({ text: "next" });
});

test("eraseSession(pool): erases former members, and jobs of an earlier application", async () => {
  const name = unique("pool");
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const first = await run(both, [pool(name, { size: 3 })]);
  const ids = await Promise.all(Array.from({ length: 3 }, (_, n) => first.pool(name).enqueue(`private ${n}`)));
  for (const id of ids) await (await first.pool(name).turn(id))?.result();
  const later = await first.pool(name).enqueue("private later", { delay: "1h" });
  await first.stop();
  const second = await run(both, [pool(name, { size: 1 })]);
  for (const id of ids) {
    const types = (await eventsOf(second.pool(name), id)).map(({ type }) => type);
    expect([types[0], types.at(-1)]).toEqual(["turn_accepted", "turn_ended"]);
  }
  const report = await second.eraseSession(name);
  expect(report).toMatchObject({ turns: 3, jobs: 1 });
  expect(await second.pool(name).turn(later)).toBeUndefined();
  for (let index = 0; index < 3; index++) {
    const lines = await exported(second.exportSession([name, index]));
    expect(JSON.stringify(lines)).not.toContain("private");
  }
  await second.stop();
});

test("eraseSession(member): erases the jobs of the member that the list names, and no others", async () => {
  const name = unique("pool");
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using scene = await Scene.open({
    children: [pool(name, { size: 2 })],
    script: async (turn) => {
      await gates[Number(turn.prompt.at(-1))]?.promise;
      await turn.text(turn.prompt);
    },
  });
  const { supervisor } = scene;
  const jobs = supervisor.pool(name);
  const [private0, other1] = [await jobs.enqueue("private 0"), await jobs.enqueue("other 1")];
  await scene.fake.prompted(2);
  for (const gate of gates) gate.resolve();
  for (const id of [private0, other1]) await (await jobs.turn(id))?.result();
  const member = (await jobs.turns()).find(({ id }) => id === private0)?.member;
  expect(member?.slice(0, 1)).toEqual([name]);
  expect(await supervisor.eraseSession(member ?? "none")).toMatchObject({ name: member, turns: 1 });
  expect(await jobs.turn(private0)).toBeUndefined();
  expect((await jobs.turns()).map(({ id }) => id)).toEqual([other1]);
  expect(await (await jobs.turn(other1))?.result()).toMatchObject({ text: "other 1" });
  expect(JSON.stringify(await exported(supervisor.exportSession(name)))).not.toContain("private");
  // The pool replaces the member.
  const again = await Promise.all([2, 3].map((n) => jobs.enqueue(`again ${n}`)));
  for (const id of again) await (await jobs.turn(id))?.result();
});
