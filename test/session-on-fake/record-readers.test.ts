import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { serverOf } from "../../src/session/session.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { collect, eventually, Scene, ticks, unique } from "./scene.ts";

function eventsOf(turn: Turn | undefined): ReturnType<Turn["events"]> {
  if (turn === undefined) throw new Error("there is no such turn");
  return turn.events();
}

test("session.events(): return() ends a reader that waits for an event", async () => {
  await using scene = await Scene.open();
  const events = scene.session.events({ types: ["fault"] });
  const next = events.next();
  await ticks(5);
  expect(await events.return()).toEqual({ done: true, value: undefined });
  expect(await next).toEqual({ done: true, value: undefined });
});

test("turn.events(): return() ends a reader that waits for the turn's end", async () => {
  const go = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: async (turn) => void (await go.promise.then(() => turn.text("ok"))) });
  const turn = scene.session.stream("hi");
  const events = turn.events();
  const read = (async () => {
    for (;;) if ((await events.next()).done === true) return;
  })();
  await eventually(() => turn.state === "running");
  await ticks(5);
  await events.return();
  await read;
  go.resolve();
  await turn.result();
});

test("turn.events(): return() ends a reader of a pool's turn that waits for a member", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const loan = await scene.supervisor.pool(name).checkout();
  const turn = scene.supervisor.pool(name).stream("hi");
  const events = turn.events();
  const next = events.next();
  await ticks(5);
  await events.return();
  expect(await next).toEqual({ done: true, value: undefined });
  await loan.checkin();
  await turn.result();
});

test("Loan: its end ends its readers, so that the member can be evicted", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const loan = await scene.supervisor.pool(name).checkout();
  const server = serverOf(loan.session);
  const reading = collect(loan.session.events({ types: ["fault"] }));
  await ticks(5);
  expect(server?.reading.readers).toBe(1);
  await loan.checkin();
  expect(await reading).toEqual([]);
  expect(server?.reading.readers).toBe(0);
});

test("turn.events(): is empty for a failed turn whose events are no longer kept", async () => {
  const journal = memoryJournal();
  const fake = fakeClaude((turn) => turn.fail({ status: 400, message: "no" }));
  const name = unique();
  const first = await run({ fake, journal }, [{ name }]);
  const id = await session(name).enqueue("one");
  const turn = await session(name).turn(id);
  await turn?.result().catch(() => {});
  expect((await collect(eventsOf(turn))).at(-1)?.type).toBe("turn_ended");
  await first.stop();
  await journal.open({ id: "tool", pid: 1, host: "here", startedAt: 0 });
  const events = { since: 0, perSession: 0, bytesPerSession: 0 };
  await journal.prune({ endedSince: 0, turnsPerSession: 1_000, events });
  await journal.close();
  await using _ = await run({ fake, journal }, [{ name }], { name: unique() });
  const again = await session(name).turn(id);
  expect(again?.state).toBe("failed");
  expect((await collect(eventsOf(again))).filter(({ number }) => number !== undefined)).toEqual([]);
});

test("turn.events(): reports deleted events only to readers of turns that lack some", async () => {
  const journal = memoryJournal();
  const name = unique();
  await using _ = await run({ fake: fakeClaude(), journal }, [{ name }]);
  const cut = await session(name).query("one");
  const whole = await session(name).query("two");
  const record = await collect(session(name).events({ live: false }));
  const kept = record.filter(({ number = 0 }) => number >= record.length - 7);
  expect(kept.some((event) => "turnId" in event && event.turnId === cut.turnId)).toBe(true);
  const events = { since: 0, perSession: kept.length, bytesPerSession: Number.POSITIVE_INFINITY };
  await journal.prune({ endedSince: 0, turnsPerSession: 1_000, events });
  const typesOf = async (id: string): Promise<string[]> =>
    (await collect(eventsOf(await session(name).turn(id)))).map(({ type }) => type);
  expect(await typesOf(cut.turnId)).toEqual(["pruned", "text", "spent", "turn_ended"]);
  expect(await typesOf(whole.turnId)).toEqual(["turn_accepted", "turn_started", "text", "spent", "turn_ended"]);
});

test("session.events(): ends readers of an erased session, which see nothing of the next one of its name", async () => {
  const fake = fakeClaude(async (turn) => {
    for (let index = 0; index < 400; index++) await turn.text(`${turn.prompt} ${index}`);
  });
  const name = unique();
  await using supervisor = await run({ fake, journal: memoryJournal() }, [{ name }]);
  await session(name).query("first");
  const stored = session(name).events({ after: 0, live: false });
  const live = session(name).events({ after: 0 });
  await Promise.all([stored.next(), live.next()]);
  await supervisor.eraseSession(name);
  await supervisor.startSession({ name });
  await session(name).query("second");
  for (const events of [stored, live]) {
    const rest = (await collect(events)).filter((event) => event.type === "text");
    expect(rest.filter(({ text }) => String(text).startsWith("second"))).toEqual([]);
  }
});

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

test("session.events(): a reader that was dropped without return() leaves once it is garbage-collected", async () => {
  await using scene = await Scene.open();
  const readers = (): number | undefined => serverOf(scene.session)?.reading.readers;
  (() => {
    // One that has not begun, one of a turn, and one that has read an event.
    scene.session.events();
    scene.session.stream("hi").events();
  })();
  await (async () => {
    const begun = scene.session.events({ after: 0 });
    await begun.next();
  })();
  expect(readers()).toBeGreaterThan(1);
  await eventually(() => {
    gc();
    return readers() === 0;
  });
});

test("session.events(): throw() ends a reader that has not begun", async () => {
  await using scene = await Scene.open();
  const readers = (): number | undefined => serverOf(scene.session)?.reading.readers;
  const events = scene.session.events();
  expect(readers()).toBe(1);
  await expect(events.throw(new Error("enough"))).rejects.toThrow("enough");
  expect(readers()).toBe(0);
});
