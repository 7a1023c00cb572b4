import { expect, test } from "vitest";
import { checkout } from "../../src/castellan.ts";
import { pool, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Session } from "../../src/session/session.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { collect, eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];

/** A model that records what it is asked and when. */
function recording(clock: SimulatedClock): { readonly script: FakeScript; readonly asked: [string, number][] } {
  const asked: [string, number][] = [];
  return {
    asked,
    script: async (turn) => {
      asked.push([turn.prompt, clock.now()]);
      await turn.text(`re: ${turn.prompt}`);
    },
  };
}

/** Starts an application with one session on a simulated clock. */
function setUp() {
  const clock = new SimulatedClock();
  const { script, asked } = recording(clock);
  const both = { fake: fakeClaude(script), journal: memoryJournal(), clock };
  return { clock, asked, both, name: unique() };
}

test("session.enqueue({ runAt }): runs once at that time, under the id that it returned", async () => {
  const { clock, asked, both, name } = setUp();
  const supervisor = await within(clock, run(both, [{ name, idleTimeout: "1m" }]));
  const session = supervisor.session(name);
  const options = { runAt: new Date(2 * HOUR), metadata: { a: 1 }, idempotencyKey: "k" };
  const id = await within(clock, session.enqueue("later", options));
  expect(await within(clock, session.enqueue("later", options))).toBe(id);
  await failure(within(clock, session.enqueue("other", options)), "INVALID_OPTIONS");
  expect(await session.schedules()).toMatchObject([{ id, prompt: "later", nextAt: 2 * HOUR, metadata: { a: 1 } }]);
  expect(await session.turn(id)).toBeUndefined();
  await clock.advance(2 * HOUR - 1 - clock.now());
  expect([asked, session.status().state]).toEqual([[], "hibernated"]);
  await clock.advance(1);
  const turn = await session.turn(id);
  expect((await within(clock, turn?.result() ?? Promise.reject()))?.text).toBe("re: later");
  expect(turn?.metadata).toEqual({ a: 1 });
  expect(await session.schedules()).toEqual([]);
  expect(await within(clock, session.enqueue("later", options))).toBe(id);
  await clock.advance(DAY);
  expect(asked).toEqual([["later", 2 * HOUR]]);
  await within(clock, supervisor.stop());
  expectNothingLeft(both.fake);
});

test("session.enqueue({ every }): runs again and again, makes up for one missed run, and is replaced and cancelled", async () => {
  const { clock, asked, both, name } = setUp();
  const first = await within(clock, run(both, [{ name }]));
  const options = { every: "0 9 * * *", timezone: "UTC", idempotencyKey: "daily" };
  const id = await within(clock, first.session(name).enqueue("news", options));
  await clock.advance(2 * DAY - clock.now());
  // The simulated clock advances while the journal writes.
  expect(asked.map(([prompt, at]) => [prompt, Math.floor(at / HOUR)])).toEqual([
    ["news", 9],
    ["news", 24 + 9],
  ]);
  await within(clock, first.stop());
  // The application is down at nine o'clock, four times.
  await clock.advance(6 * DAY - HOUR - clock.now());
  const second = await within(clock, run(both, [{ name }]));
  const session = second.session(name);
  expect(await within(clock, session.enqueue("news", options))).toBe(id);
  await clock.advance(MINUTE);
  await eventually(() => asked.length === 3);
  expect(await session.schedules()).toMatchObject([
    { id, nextAt: 6 * DAY + 9 * HOUR, every: "0 9 * * *", timezone: "UTC" },
  ]);
  await failure(session.enqueue("other news", { ...options, every: "2h" }), "INVALID_OPTIONS");
  await within(clock, session.enqueue("other news", { every: "2h", idempotencyKey: "daily" }));
  const [replaced] = await session.schedules();
  expect(replaced).toMatchObject({ id, prompt: "other news", every: 2 * HOUR });
  await clock.advance(4 * HOUR + MINUTE);
  await eventually(() => asked.length === 5);
  expect(asked.slice(3).map(([prompt]) => prompt)).toEqual(["other news", "other news"]);
  expect(await within(clock, session.cancelSchedule(id))).toBe(true);
  expect(await within(clock, session.cancelSchedule(id))).toBe(false);
  await clock.advance(DAY);
  expect(asked).toHaveLength(5);
  await within(clock, second.stop());
});

test("session.enqueue({ every }): skips a run while the previous one has not ended", async () => {
  const [clock, name] = [new SimulatedClock(), unique()];
  let gate = Promise.withResolvers<void>();
  let asked = 0;
  const both = {
    fake: fakeClaude(async (turn) => {
      asked += 1;
      await gate.promise;
      await turn.text("done");
    }),
    journal: memoryJournal(),
    clock,
  };
  const supervisor = await within(clock, run(both, [{ name, stallTimeout: "1d" }]));
  await within(clock, supervisor.session(name).enqueue("slow", { every: "1m" }));
  await clock.advance(5 * MINUTE + 1_000);
  expect(asked).toBe(1);
  gate.resolve();
  await ticks(20);
  gate = Promise.withResolvers();
  await clock.advance(MINUTE);
  await eventually(() => asked === 2);
  gate.resolve();
  await within(clock, supervisor.stop());
});

test("session.enqueue({ every }): a session of a template that was evicted comes back for its run", async () => {
  const { clock, asked, both } = setUp();
  const family = unique("family");
  const children = [template(family, () => ({ idleTimeout: "1m" }), { retention: "1m" })];
  const first = await within(clock, run(both, children));
  const session: Session = first.session([family, 7]);
  await within(clock, session.enqueue("hi", { every: "6h" }));
  await within(clock, session.query("now"));
  await clock.advance(HOUR);
  expect(first.countSessions()).toBe(0);
  await clock.advance(5 * HOUR + MINUTE);
  expect(asked.map(([prompt]) => prompt)).toEqual(["now", "hi"]);
  await within(clock, first.stop());
  // Nobody names it after the restart either.
  const second = await within(clock, run(both, children));
  await clock.advance(6 * HOUR);
  expect(asked.map(([prompt]) => prompt)).toEqual(["now", "hi", "hi"]);
  await within(clock, second.eraseSession([family, 7]));
  await clock.advance(DAY);
  expect(asked).toHaveLength(3);
  await within(clock, second.stop());
});

test("session.enqueue({ runAt }): a turn that waits behind another one is in the record before its messages", async () => {
  const [clock, name] = [new SimulatedClock(), unique()];
  const gate = Promise.withResolvers<void>();
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "busy") await gate.promise;
    await turn.text(turn.prompt);
  });
  const both = { fake, journal: memoryJournal(), clock };
  const supervisor = await within(clock, run(both, [{ name, stallTimeout: "1d" }]));
  const session = supervisor.session(name);
  const id = await within(clock, session.enqueue("later", { runAt: clock.now() + HOUR }));
  const busy = session.stream("busy");
  await within(clock, fake.prompted(1));
  await clock.advance(HOUR + MINUTE);
  const turn = await session.turn(id);
  expect(turn?.state).toBe("queued");
  await within(clock, turn?.steer("more") ?? Promise.reject());
  gate.resolve();
  await within(clock, busy.result());
  expect((await within(clock, turn?.result() ?? Promise.reject()))?.text).toBe("later\n\nmore");
  const types = (await collect(session.events({ after: 0, turn: id, live: false }))).map(({ type }) => type);
  expect(types.slice(0, 3)).toEqual(["turn_accepted", "steered", "turn_started"]);
  await within(clock, supervisor.stop());
});

test.each(["in memory", "evicted", "restarted"])(
  "session.enqueue({ runAt }): a run brings an archived session back: %s",
  async (how) => {
    const { clock, asked, both } = setUp();
    const family = unique("family");
    const retention = how === "evicted" ? "1m" : "1d";
    const children = [template(family, () => ({ idleTimeout: "1m" }), { retention })];
    let supervisor = await within(clock, run(both, children));
    const session = supervisor.session([family, 7]);
    await within(clock, session.enqueue("later", { runAt: clock.now() + HOUR }));
    await within(clock, session.query("now"));
    await within(clock, session.describe({ archived: true }));
    if (how === "restarted") {
      await within(clock, supervisor.stop());
      supervisor = await within(clock, run(both, children));
    }
    await clock.advance(HOUR / 2);
    expect(await supervisor.findSessions({ state: "archived" })).toMatchObject([{ name: [family, 7] }]);
    expect(supervisor.countSessions()).toBe(how === "in memory" ? 1 : 0);
    await clock.advance(HOUR / 2 + MINUTE);
    await eventually(() => asked.length === 2);
    expect(asked.map(([prompt]) => prompt)).toEqual(["now", "later"]);
    expect(await supervisor.findSessions()).toMatchObject([{ name: [family, 7] }]);
    expect(await supervisor.findSessions({ state: "archived" })).toEqual([]);
    await within(clock, supervisor.stop());
  },
);

test("session.enqueue({ runAt, every }): rejects options that cannot be kept, and loans", async () => {
  const [name, members] = [unique(), unique("pool")];
  await using scene = await Scene.open({ children: [{ name }, pool(members, { size: 1 })] });
  const session = scene.supervisor.session(name);
  const { signal } = new AbortController();
  for (const options of [{ signal }, { whenBusy: "reject" as const }]) {
    await failure(session.enqueue("hi", { runAt: 1, ...options }), "INVALID_OPTIONS");
  }
  await failure(session.enqueue("hi", { every: "never" }), "INVALID_OPTIONS");
  await failure(session.enqueue("", { every: "1h" }), "INVALID_OPTIONS");
  await using loan = await checkout(members);
  await failure(loan.session.enqueue("hi", { every: "1h" }), "INVALID_OPTIONS");
  expect(await loan.session.schedules()).toEqual([]);
  expect(await loan.session.cancelSchedule("any")).toBe(false);
  expect(await session.schedules()).toEqual([]);
});
