import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { CastellanError, pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Pool } from "../../src/pool/pool.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { CrashingJournal } from "./crashing-journal.ts";
import { collect, eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

/** Returns the text or the error code with which a job ends. */
async function endOf(jobs: Pool, id: string): Promise<string> {
  const turn = await jobs.turn(id);
  if (turn === undefined) return "unknown";
  return await turn.result().then(
    ({ text }) => text,
    (error: { code: string }) => error.code,
  );
}

test("pool.enqueue(): runs jobs by priority, each in an empty conversation of a member", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const asked: string[] = [];
  await using scene = await Scene.open({
    children: [pool(name, { size: 1 })],
    script: async (turn) => {
      asked.push(turn.prompt);
      if (turn.prompt === "first") await gate.promise;
      await turn.text(`${turn.prompt} after ${turn.history.length}`);
    },
  });
  const jobs = scene.supervisor.pool(name);
  const first = await jobs.enqueue("first");
  await scene.fake.prompted(1);
  const ids = [
    first,
    await jobs.enqueue("low", { priority: -1 }),
    await jobs.enqueue("a"),
    await jobs.enqueue("b"),
    await jobs.enqueue("high", { priority: 1_000 }),
  ];
  expect(jobs.status()).toMatchObject({ jobs: 4, lent: 1 });
  const low = await jobs.turn(ids[1] ?? "");
  expect(low).toMatchObject({ state: "queued", session: name });
  expect((await jobs.turn(first))?.state).toBe("running");
  const types = collect(low?.events() ?? (async function* () {})());
  gate.resolve();
  expect(await low?.result()).toMatchObject({ text: "low after 0", turnId: ids[1] });
  expect(asked).toEqual(["first", "high", "a", "b", "low"]);
  const read = (await types).map(({ type }) => type);
  expect([read[0], read[1], read.at(-1)]).toEqual(["turn_accepted", "turn_started", "turn_ended"]);
  expect(await Promise.all(ids.map((id) => endOf(jobs, id)))).toEqual(
    ["first", "low", "a", "b", "high"].map((prompt) => `${prompt} after 0`),
  );
  expect(await jobs.turn("unknown")).toBeUndefined();
  expect(jobs.status().jobs).toBe(0);
});

test("pool.enqueue(): uses all members that the pool may have, and callers go first", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const asked: string[] = [];
  await using scene = await Scene.open({
    children: [pool(name, { min: 1, max: 3 })],
    script: async (turn) => {
      asked.push(turn.prompt);
      await gate.promise;
      await turn.text(turn.prompt);
    },
  });
  const jobs = scene.supervisor.pool(name);
  const ids = await Promise.all(["1", "2", "3", "4", "5"].map((prompt) => jobs.enqueue(prompt)));
  await scene.fake.prompted(3);
  expect(jobs.status()).toMatchObject({ size: 3, lent: 3, jobs: 2, waiting: 0 });
  gate.resolve();
  await Promise.all(ids.map((id) => endOf(jobs, id)));
  expect(asked.toSorted()).toEqual(["1", "2", "3", "4", "5"]);
});

test("pool.enqueue(): callers get a member before jobs do", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const asked: string[] = [];
  await using scene = await Scene.open({
    children: [pool(name, { size: 1 })],
    script: async (turn) => {
      asked.push(turn.prompt);
      await gate.promise;
      await turn.text(turn.prompt);
    },
  });
  const jobs = scene.supervisor.pool(name);
  const ids = [await jobs.enqueue("1"), await jobs.enqueue("2")];
  await scene.fake.prompted(1);
  const caller = query(name, "caller");
  await eventually(() => jobs.status().waiting === 1);
  gate.resolve();
  await caller;
  await Promise.all(ids.map((id) => endOf(jobs, id)));
  expect(asked).toEqual(["1", "caller", "2"]);
});

test("pool.enqueue(): returns the same job for the same key, and rejects another prompt", async () => {
  const name = unique("pool");
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const first = await run(both, [pool(name, { size: 2 })]);
  const jobs = first.pool(name);
  const options = { idempotencyKey: "a", metadata: { document: 7 } };
  const ids = await Promise.all([1, 2, 3].map(() => jobs.enqueue("hi", options)));
  expect(new Set(ids).size).toBe(1);
  expect(await endOf(jobs, ids[0] ?? "")).toBe("You said: hi");
  expect(await jobs.enqueue("hi", { idempotencyKey: "a" })).toBe(ids[0]);
  const { details } = await failure(jobs.enqueue("other", { idempotencyKey: "a" }), "INVALID_OPTIONS");
  expect(details.problems[0]?.field).toBe("idempotencyKey");
  const other = await jobs.enqueue("hi", { idempotencyKey: "b" });
  expect(other).not.toBe(ids[0]);
  expect(await endOf(jobs, other)).toBe("You said: hi");
  await first.stop();
  const second = await run(both, [pool(name, { size: 1 })]);
  expect(await second.pool(name).enqueue("hi", { idempotencyKey: "a" })).toBe(ids[0]);
  expect(await endOf(second.pool(name), ids[0] ?? "")).toBe("You said: hi");
  await failure(second.pool(name).enqueue("other", { idempotencyKey: "a" }), "INVALID_OPTIONS");
  await second.stop();
  expect(both.fake.processes.flatMap(({ prompts }) => prompts).filter((prompt) => prompt === "hi")).toHaveLength(2);
  expectNothingLeft(both.fake);
});

test("pool.turns(): lists jobs and turns of all members page by page, by state, also after a restart", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const both = {
    fake: fakeClaude(async (turn) => {
      if (turn.prompt === "fails") await turn.fail({ status: 400 });
      else if (turn.prompt === "runs") await gate.promise;
      if (turn.prompt !== "fails") await turn.text("done");
    }),
    journal: memoryJournal(),
  };
  const first = await run(both, [pool(name, { size: 2 })]);
  const jobs = first.pool(name);
  const ended = [await jobs.enqueue("1"), await jobs.enqueue("fails"), await jobs.enqueue("2", { metadata: { n: 2 } })];
  for (const id of ended) await endOf(jobs, id);
  const running = [await jobs.enqueue("runs"), await jobs.enqueue("runs")];
  await both.fake.prompted(5);
  const waiting = [await jobs.enqueue("later"), await jobs.enqueue("last", { priority: 9, metadata: { n: 9 } })];
  const all = [...waiting.toReversed()];
  const page = await jobs.turns();
  expect(page.slice(0, 2)).toMatchObject([
    { id: all[0], state: "queued", prompt: "last", attempts: 0, metadata: { n: 9 } },
    { id: all[1], state: "queued", prompt: "later" },
  ]);
  const running2 = page.slice(2, 4).map(({ id, state }) => [id, state]);
  expect(running2.toSorted()).toEqual(running.map((id) => [id, "running"]).toSorted());
  expect(
    page
      .slice(4)
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(ended.toSorted());
  expect(page.find(({ id }) => id === ended[2])?.metadata).toEqual({ n: 2 });
  // The waiting jobs have no member yet.
  expect(page.slice(0, 2).map(({ member }) => member)).toEqual([undefined, undefined]);
  const members = page.slice(2).map(({ member }) => JSON.stringify(member));
  expect(new Set(members)).toEqual(new Set([0, 1].map((index) => JSON.stringify([name, index]))));
  const pages: string[] = [];
  for (let some = await jobs.turns({ limit: 3 }); some.length > 0; ) {
    pages.push(...some.map(({ id }) => id));
    some = await jobs.turns({ limit: 3, before: pages.at(-1) });
  }
  expect(pages).toEqual(page.map(({ id }) => id));
  expect((await jobs.turns({ state: "failed" })).map(({ id }) => id)).toEqual([ended[1]]);
  expect(await jobs.turns({ state: ["queued", "failed"] })).toHaveLength(3);
  await failure(jobs.turns({ before: "unknown" }), "INVALID_OPTIONS");
  gate.resolve();
  for (const id of [...running, ...waiting]) expect(await endOf(jobs, id)).toBe("done");
  await first.stop();
  const second = await run(both, [pool(name, { size: 2 })]);
  expect(await second.pool(name).turns({ state: "completed" })).toHaveLength(6);
  await second.stop();
});

test("pool.enqueue(): rejects invalid options and what its limit does not allow", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    children: [pool(name, { size: 1, jobLimit: 1 })],
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
  });
  const jobs = scene.supervisor.pool(name);
  for (const options of [
    { priority: 0.5 },
    { priority: 1_001 },
    { delay: -1 },
    { whenBusy: "reject" },
    { metadata: 1 },
  ]) {
    await failure(jobs.enqueue("hi", options as object), "INVALID_OPTIONS");
  }
  await failure(jobs.enqueue(""), "INVALID_OPTIONS");
  await failure(jobs.enqueue("hi", { metadata: { long: "x".repeat(17_000) } }), "INVALID_OPTIONS");
  await jobs.enqueue("runs");
  await scene.fake.prompted(1);
  const waits = await jobs.enqueue("waits", { idempotencyKey: "waits" });
  expect((await failure(jobs.enqueue("too many"), "MAILBOX_FULL")).details.limit).toBe(1);
  // A known key is not a further job.
  expect(await jobs.enqueue("waits", { idempotencyKey: "waits" })).toBe(waits);
  gate.resolve();
  expect(await endOf(jobs, waits)).toBe("done");
});

test("Turn.interrupt(): cancels a waiting job for good, also for its key and after a restart", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const both = {
    fake: fakeClaude(async (turn) => {
      await gate.promise;
      await turn.text("done");
    }),
    journal: memoryJournal(),
  };
  const first = await run(both, [pool(name, { size: 1 })]);
  const jobs = first.pool(name);
  const runs = await jobs.enqueue("runs");
  await both.fake.prompted(1);
  const id = await jobs.enqueue("waits", { idempotencyKey: "a" });
  const turn = await jobs.turn(id);
  await Promise.all([turn?.interrupt(), turn?.interrupt()]);
  await failure(turn?.result() ?? Promise.reject(), "TURN_CANCELLED");
  expect(await jobs.enqueue("waits", { idempotencyKey: "a" })).toBe(id);
  expect(await endOf(jobs, id)).toBe("TURN_CANCELLED");
  await (await jobs.turn(runs))?.interrupt();
  expect(await endOf(jobs, runs)).toBe("TURN_INTERRUPTED");
  gate.resolve();
  await first.stop();
  const second = await run(both, [pool(name, { size: 1 })]);
  expect(await endOf(second.pool(name), id)).toBe("TURN_CANCELLED");
  expect(second.pool(name).status().jobs).toBe(0);
  await second.stop();
});

test("Turn.interrupt(): a job whose cancellation failed waits in its place, and can be cancelled again", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  const asked: string[] = [];
  const fake = fakeClaude(async (turn) => {
    asked.push(turn.prompt);
    await gate.promise;
    await turn.text(turn.prompt);
  });
  const journal = memoryJournal();
  const read = journal.job.bind(journal);
  let isDown = false;
  journal.job = async (id) => {
    if (isDown) throw new CastellanError("JOURNAL_UNAVAILABLE", "it is down", { details: { reason: "unreachable" } });
    return await read(id);
  };
  const supervisor = await run({ fake, journal }, [pool(name, { size: 1 })]);
  const jobs = supervisor.pool(name);
  const ids = [];
  for (const prompt of ["1", "2", "3", "4"]) ids.push(await jobs.enqueue(prompt));
  const delayed = await jobs.enqueue("5", { delay: "1h" });
  await fake.prompted(1);
  const turns = await Promise.all([ids[1], ids[2], delayed].map((id) => jobs.turn(id ?? "")));
  isDown = true;
  for (const turn of turns) await failure(turn?.interrupt() ?? Promise.resolve(), "JOURNAL_UNAVAILABLE");
  expect(jobs.status().jobs).toBe(4);
  isDown = false;
  await Promise.all(turns.slice(1).map((turn) => turn?.interrupt()));
  gate.resolve();
  expect(await Promise.all([...ids, delayed].map((id) => endOf(jobs, id)))).toEqual([
    "1",
    "2",
    "TURN_CANCELLED",
    "4",
    "TURN_CANCELLED",
  ]);
  expect(asked).toEqual(["1", "2", "4"]);
  await supervisor.stop();
});

test("pool.enqueue({ delay }): waits, also over a restart of the application", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const both = { fake: fakeClaude(), journal: memoryJournal(), clock };
  const first = await within(clock, run(both, [pool(name, { size: 1 })]));
  const later = await within(clock, first.pool(name).enqueue("later", { delay: "1h" }));
  const soon = await within(clock, first.pool(name).enqueue("soon", { delay: "1m" }));
  const turn = await first.pool(name).turn(soon);
  await clock.advance(59_000);
  expect([turn?.state, both.fake.processes.length]).toEqual(["queued", 0]);
  await clock.advance(1_000);
  expect((await within(clock, turn?.result() ?? Promise.reject()))?.text).toBe("You said: soon");
  const unfinished = failure((await first.pool(name).turn(later))?.result() ?? Promise.reject(), "SUPERVISOR_STOPPED");
  await within(clock, first.stop());
  await unfinished;
  await clock.advance(30 * 60_000);
  const second = await within(clock, run(both, [pool(name, { size: 1 })]));
  expect(second.pool(name).status().jobs).toBe(1);
  expect((await second.pool(name).turn(later))?.state).toBe("queued");
  await clock.advance(30 * 60_000);
  expect(await within(clock, endOf(second.pool(name), later))).toBe("You said: later");
  await within(clock, second.stop());
  expectNothingLeft(both.fake);
});

test("pool.enqueue(): a job waits while the API is overloaded, and ends with other failures", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  let overloads = 4;
  await using scene = await within(
    clock,
    Scene.open({
      clock,
      children: [pool(name, { size: 1 })],
      script: async (turn) => {
        if (turn.prompt === "bad") await turn.fail({ status: 400 });
        else if (overloads-- > 0) await turn.fail({ status: 529 });
        else await turn.text(`${turn.prompt} after ${turn.history.length}`);
      },
    }),
  );
  const jobs = scene.supervisor.pool(name);
  const id = await within(clock, jobs.enqueue("good"));
  const bad = await within(clock, jobs.enqueue("bad"));
  expect(await within(clock, endOf(jobs, id))).toBe("good after 0");
  expect(await within(clock, endOf(jobs, bad))).toBe("TURN_FAILED");
  expect(overloads).toBe(-1);
});

test("pool.enqueue(): a job outlasts the quarantine of a member whose key is refused", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  let refusals = 2;
  await using scene = await within(
    clock,
    Scene.open({
      clock,
      children: [pool(name, { size: 1 })],
      script: async (turn) => {
        if (refusals-- > 0) await turn.fail({ status: 401 });
        else await turn.text("done");
      },
    }),
  );
  const jobs = scene.supervisor.pool(name);
  const id = await within(clock, jobs.enqueue("hi"));
  const turn = await jobs.turn(id);
  await failure(within(clock, turn?.result() ?? Promise.reject()), "SESSION_QUARANTINED");
  expect(await within(clock, eventuallyEnds(jobs, id, clock))).toBe("done");
});

/** Returns how a job ends, however often its member is quarantined meanwhile. */
async function eventuallyEnds(jobs: Pool, id: string, clock: SimulatedClock): Promise<string> {
  for (;;) {
    const end = await endOf(jobs, id);
    if (end !== "SESSION_QUARANTINED" && end !== "unknown") return end;
    await clock.advance(1_000);
  }
}

test("pool.enqueue(): 200 documents are answered once each, although the application dies half way", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const documents = Array.from({ length: 200 }, (_, n) => `document ${n}`);
  const asked: string[] = [];
  const answered = Promise.withResolvers<void>();
  const fake = fakeClaude(async (turn) => {
    asked.push(turn.prompt);
    if (asked.length === 100) answered.resolve();
    await turn.text(`summary of ${turn.prompt}`);
  });
  const children = [pool(name, { size: 4 })];
  // Crashes at a batch in the middle of the run.
  const crashing = new CrashingJournal(Number.POSITIVE_INFINITY);
  const first = await within(clock, run({ fake, journal: crashing.journal, clock }, children));
  const enqueue = (jobs: Pool, document: string): Promise<string> =>
    jobs.enqueue(document, { idempotencyKey: document });
  const ids = await within(clock, Promise.all(documents.map((document) => enqueue(first.pool(name), document))));
  await within(clock, answered.promise);
  crashing.crash();
  await ticks(20);
  await within(clock, first.stop({ kill: true }));
  const journal = await crashing.left();
  const before = [...asked];
  const over = new Set(
    crashing.taken
      .flatMap(({ changes }) => changes)
      .flatMap((change) => (change.type === "turn_ended" ? change.turn : [])),
  );
  expect(over.size).toBeGreaterThan(50);
  expect(over.size).toBeLessThan(150);
  const second = await within(clock, run({ fake, journal, clock }, children));
  const jobs = second.pool(name);
  expect(await within(clock, Promise.all(documents.map((document) => enqueue(jobs, document))))).toEqual(ids);
  const ends = await within(clock, Promise.all(ids.map((id) => endOf(jobs, id))));
  // A job that had begun to answer when the application died is not repeated silently.
  const cut = ends.filter((end) => end === "TURN_INTERRUPTED").length;
  expect(cut).toBeLessThanOrEqual(4);
  expect(ends.filter((end) => end.startsWith("summary of"))).toHaveLength(200 - cut);
  for (const [n, document] of documents.entries()) {
    const [id, end] = [ids[n] ?? "", ends[n] ?? ""];
    if (end !== "TURN_INTERRUPTED") expect(end).toBe(`summary of ${document}`);
    const times = asked.filter((prompt) => prompt === document).length;
    // Only what was in a process when the application died may have been asked twice.
    expect(times, document).toBeLessThanOrEqual(over.has(id) || !before.includes(document) ? 1 : 2);
  }
  await within(clock, second.stop());
  expectNothingLeft(fake);
});
