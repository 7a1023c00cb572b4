import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeClaude, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** A script that waits for its gate before each answer. */
function gated(): { script: FakeScript; open: (prompt: string) => void } {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gate = (prompt: string): PromiseWithResolvers<void> => {
    const known = gates.get(prompt) ?? Promise.withResolvers<void>();
    gates.set(prompt, known);
    return known;
  };
  return {
    script: async (turn) => {
      await gate(turn.prompt).promise;
      await turn.text(`did ${turn.prompt}`);
    },
    open: (prompt) => gate(prompt).resolve(),
  };
}

/** Counts running processes at every start, and keeps the maximum. */
function counted(): { most: () => number; startup: () => void; of: (fake: FakeClaude) => void } {
  let fake: FakeClaude | undefined;
  let most = 0;
  return {
    most: () => most,
    startup: () => {
      most = Math.max(most, fake?.running.length ?? 0);
    },
    of: (one) => {
      fake = one;
    },
  };
}

const names = (n: number): string[] => Array.from({ length: n }, () => unique());
const named = (list: readonly string[]) => list.map((name) => ({ name }));
const states = () => (name: string) => session(name).status().state;

test("capacity.maxProcesses: hibernates the sessions beyond the limit, and all of them answer", async () => {
  const [list, most] = [names(6), counted()];
  await using scene = await Scene.open({
    script: count,
    fake: { startup: most.startup },
    children: named(list),
    options: { capacity: { maxProcesses: 2 } },
  });
  most.of(scene.fake);
  expect(list.map(states())).toEqual(["idle", "idle", ...Array(4).fill("hibernated")]);
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(list.map((name) => query(name, "hi")));
    expect(replies.map(({ text }) => text)).toEqual(list.map(() => String(2 * round)));
  }
  expect(most.most()).toBe(2);
  expect(scene.fake.running.length).toBeLessThanOrEqual(2);
});

test("capacity.maxProcesses: evicts the least recently used idle session", async () => {
  const list = names(3);
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: count,
    children: named(list),
    options: { capacity: { maxProcesses: 2 } },
  });
  const [a, b, c] = list as [string, string, string];
  await clock.advance(10);
  await query(a, "hi");
  await clock.advance(10);
  await query(c, "hi");
  expect(list.map(states())).toEqual(["idle", "hibernated", "idle"]);
  await query(b, "hi");
  expect(list.map(states())).toEqual(["hibernated", "idle", "idle"]);
  expect(scene.fake.running).toHaveLength(2);
});

test("capacity.maxProcesses: keeps pinned and busy sessions, and rejects a waiting turn with CAPACITY_EXHAUSTED", async () => {
  const { script, open } = gated();
  const clock = new SimulatedClock();
  const [pinned, works, late] = names(3) as [string, string, string];
  await using scene = await Scene.open({
    clock,
    script,
    children: [{ name: pinned, pinned: true }, { name: works }, { name: late, queueTimeout: "1m" }],
    options: { capacity: { maxProcesses: 2 } },
  });
  const busy = query(works, "long");
  await scene.fake.prompted(1);
  const turn = stream(late, "late");
  const refused = failure(turn.result(), "CAPACITY_EXHAUSTED");
  await eventually(() => session(late).status().waitingFor !== undefined);
  expect(session(late).status()).toMatchObject({ state: "hibernated", waitingFor: { for: "capacity" }, mailbox: 1 });
  expect(await session(late).health()).toEqual({ status: "degraded", reason: "turns are held back for capacity" });
  await failure(session(late).hibernate(), "SESSION_BUSY");
  await clock.advance(60_000);
  const error = await refused;
  expect(error.details).toEqual({ turnId: turn.id, timeoutMs: 60_000, maxProcesses: 2, busy: 2 });
  expect(error.message).toContain("2 processes");
  // The turn has left the line.
  await eventually(() => session(late).status().waitingFor === undefined);
  await failure(within(clock, session(late).wake()), "CAPACITY_EXHAUSTED");
  open("long");
  open("late");
  await busy;
  expect((await query(late, "late")).text).toBe("did late");
  expect(states()(pinned)).toBe("idle");
});

test("capacity.maxProcesses: serves waiting sessions in the order of their requests", async () => {
  const { script, open } = gated();
  const list = names(5);
  await using scene = await Scene.open({ script, children: named(list), options: { capacity: { maxProcesses: 1 } } });
  const order: string[] = [];
  const turns = list.map(async (name) => {
    await query(name, name);
    order.push(name);
  });
  await scene.fake.prompted(1);
  for (const name of list) open(name);
  await Promise.all(turns);
  expect(order).toEqual(list);
});

test("capacity.maxProcesses: moves a session with a full mailbox behind the others after its share", async () => {
  const clock = new SimulatedClock();
  const [greedy, modest] = names(2) as [string, string];
  const order: string[] = [];
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      order.push(turn.prompt);
      await clock.advance(4_000);
      await turn.text("ok");
    },
    children: named([greedy, modest]),
    options: { capacity: { maxProcesses: 1 } },
  });
  const many = Array.from({ length: 8 }, (_, n) => query(greedy, `greedy ${n}`));
  await scene.fake.prompted(1);
  await Promise.all([...many, query(modest, "modest")]);
  expect(order.indexOf("modest")).toBe(3);
  expect(order.filter((prompt) => prompt !== "modest")).toEqual(many.map((_, n) => `greedy ${n}`));
});

test("capacity.maxProcesses: answers controls of a session that yields its process to others", async () => {
  const clock = new SimulatedClock();
  const [greedy, modest] = names(2) as [string, string];
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      await clock.advance(20_000);
      await turn.text("ok");
    },
    children: named([greedy, modest]),
    options: { capacity: { maxProcesses: 1 } },
  });
  const turns = [query(greedy, "1"), query(greedy, "2"), query(modest, "3")];
  await scene.fake.prompted(1);
  const asked = Promise.all(Array.from({ length: 20 }, () => session(greedy).supportedModels()));
  expect((await Promise.all(turns)).map(({ text }) => text)).toEqual(["ok", "ok", "ok"]);
  await asked;
});

test("capacity.maxProcesses: removes an interrupted turn and a stopped session from the line", async () => {
  const { script, open } = gated();
  const [works, first, second, third] = names(4) as [string, string, string, string];
  await using scene = await Scene.open({
    script,
    children: named([works, first, second, third]),
    options: { capacity: { maxProcesses: 1 } },
  });
  const busy = query(works, "long");
  await scene.fake.prompted(1);
  const [one, two, three] = [stream(first, "1"), stream(second, "2"), stream(third, "3")];
  const ends = [failure(one.result(), "TURN_CANCELLED"), failure(two.result(), "SESSION_STOPPED")];
  await eventually(() => [first, second, third].every((name) => session(name).status().waitingFor !== undefined));
  await one.interrupt();
  await session(second).stop();
  await Promise.all(ends);
  open("3");
  open("long");
  await busy;
  expect((await three.result()).text).toBe("did 3");
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["long"], ["3"]]);
});

test("capacity.maxProcesses: restart, clear and reconcile do not wait for a slot", async () => {
  const { script, open } = gated();
  const [works, late] = names(2) as [string, string];
  await using scene = await Scene.open({
    script,
    children: named([works, late]),
    options: { capacity: { maxProcesses: 1 } },
  });
  const busy = query(works, "long");
  await scene.fake.prompted(1);
  const reply = query(late, "late");
  await eventually(() => session(late).status().waitingFor !== undefined);
  await session(late).restart();
  await session(late).clear();
  await scene.supervisor.reconcile([{ name: works }, { name: late, systemPrompt: "Be brief.", shutdown: "1s" }]);
  expect(session(late).status()).toMatchObject({ state: "hibernated", mailbox: 1 });
  open("long");
  open("late");
  await busy;
  expect((await reply).text).toBe("did late");
});

test("supervisor.stop(): rejects turns that wait for a slot with SUPERVISOR_STOPPED", async () => {
  const list = names(3);
  await using scene = await Scene.open({
    script: (turn) => turn.hang(),
    children: named(list),
    options: { capacity: { maxProcesses: 1 } },
  });
  const [runs, ...wait] = list.map((name) => query(name, "hi")) as [Promise<unknown>, ...Promise<unknown>[]];
  const ends = [failure(runs, "TURN_INTERRUPTED"), ...wait.map((turn) => failure(turn, "SUPERVISOR_STOPPED"))];
  await scene.fake.prompted(1);
  await eventually(() => session(list[2] ?? "").status().waitingFor !== undefined);
  await scene.supervisor.stop();
  await Promise.all(ends);
  expect(scene.fake.processes).toHaveLength(1);
});

test("capacity.maxProcesses: gives the slot of a crashed process to the next in line, and the retried turn waits again", async () => {
  const [first, second] = names(2) as [string, string];
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text(`did ${turn.prompt}`);
    },
    children: named([first, second]),
    options: { capacity: { maxProcesses: 1 } },
  });
  const replies = await Promise.all([query(first, "crash"), query(second, "hi")]);
  expect(replies.map(({ text }) => text)).toEqual(["did crash", "did hi"]);
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["crash"], ["hi"], ["crash"]]);
});

test("capacity.maxProcesses: limits the processes that run the journal's turns after a restart", async () => {
  const journal = memoryJournal();
  const list = names(4);
  const most = counted();
  const { script, open } = gated();
  const fake = fakeClaude(script, { startup: most.startup });
  most.of(fake);
  const options = { capacity: { maxProcesses: 1 } };
  const before = await run({ fake, journal }, named(list), options);
  for (const name of list) await session(name).enqueue(name, { idempotencyKey: "only" });
  await before.stop();
  for (const name of list) open(name);
  const after = await run({ fake, journal }, named(list), options);
  const replies = await Promise.all(list.map((name) => query(name, name, { idempotencyKey: "only" }).catch((e) => e)));
  expect(replies.slice(1).map(({ text }) => text)).toEqual(list.slice(1).map((name) => `did ${name}`));
  await after.stop();
  expect(most.most()).toBe(1);
});

test("capacity.maxProcesses: is never exceeded under load with crashes and stops, and every turn ends once", async () => {
  const [list, most] = [names(12), counted()];
  let n = 0;
  await using scene = await Scene.open({
    script: async (turn) => {
      n++;
      if (n % 11 === 0) await turn.crash();
      await turn.text(`${turn.prompt}`);
    },
    fake: { startup: most.startup },
    children: list.map((name, at) => ({ name, restart: "permanent", idleTimeout: at % 3 === 0 ? 0 : 1_000 })),
    options: { capacity: { maxProcesses: 3 }, maxRestarts: 1_000 },
  });
  most.of(scene.fake);
  const turns = Array.from({ length: 120 }, async (_, at) => {
    await ticks(at % 17);
    const name = list[(at * 7) % list.length] ?? "";
    if (at % 23 === 0) await session(name).restart();
    if (at % 29 === 0)
      await session(name)
        .hibernate()
        .catch(() => {});
    return await query(name, `${at}`).then(
      ({ text }) => text === `${at}`,
      (error: unknown) => CastellanError.is(error, "TURN_INTERRUPTED"),
    );
  });
  expect(await Promise.all(turns)).toEqual(turns.map(() => true));
  expect(most.most()).toBeLessThanOrEqual(3);
});

test("capacity: rejects wrong options by name, with a suggestion", async () => {
  const wrong = (capacity: object) => failure(Scene.open({ options: { capacity } }), "INVALID_OPTIONS");
  expect((await wrong({ maxProcesses: 0 })).message).toContain("capacity.maxProcesses");
  expect((await wrong({ maxProcess: 2 })).message).toMatch(
    /`capacity.maxProcess`: is not an option; did you mean `maxProcesses`/,
  );
});
