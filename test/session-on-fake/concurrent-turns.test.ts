import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const names = (n: number): string[] => Array.from({ length: n }, () => unique());

/** A script whose turns end on demand, with the order of their starts. */
function held() {
  const order: string[] = [];
  const running = new Map<string, PromiseWithResolvers<void>>();
  const script: FakeScript = async (turn) => {
    const gate = Promise.withResolvers<void>();
    order.push(turn.prompt);
    running.set(turn.prompt, gate);
    await Promise.race([gate.promise, new Promise((resolve) => turn.signal.addEventListener("abort", resolve))]);
    running.delete(turn.prompt);
    if (!turn.signal.aborted) await turn.text(`did ${turn.prompt}`);
  };
  const end = (prompt: string): void => running.get(prompt)?.resolve();
  return { script, order, running, end };
}

test("maxConcurrentTurns: limits running turns and serves sessions fairly", async () => {
  const { script, order, running, end } = held();
  const [busy, ...others] = names(4) as [string, string, string, string];
  await using scene = await Scene.open({
    script,
    children: [busy, ...others].map((name) => ({ name })),
    options: { capacity: { maxConcurrentTurns: 1 } },
  });
  const replies = [
    ...["b1", "b2", "b3"].map((prompt) => query(busy, prompt)),
    ...others.map((name, index) => query(name, `o${index + 1}`)),
  ];
  await eventually(() => scene.supervisor.capacity().turns.waiting === 3);
  expect(session(others[0] ?? "").status()).toMatchObject({
    state: "idle",
    mailbox: 1,
    waitingFor: { for: "capacity" },
  });
  expect(session(busy).status().waitingFor).toBeUndefined();
  for (const prompt of ["b1", "o1", "o2", "o3", "b2", "b3"]) {
    await eventually(() => running.has(prompt));
    expect([...running.keys()]).toEqual([prompt]);
    expect(scene.supervisor.capacity().turns.running).toBe(1);
    end(prompt);
  }
  expect((await Promise.all(replies)).map(({ text }) => text)).toHaveLength(6);
  expect(order).toEqual(["b1", "o1", "o2", "o3", "b2", "b3"]);
  await eventually(() => scene.supervisor.capacity().turns.running === 0);
});

test("maxConcurrentTurns.perKey: holds back only the sessions of the key that is in full use", async () => {
  const { script, running, end } = held();
  const [a1, a2, b] = names(3) as [string, string, string];
  await using scene = await Scene.open({
    script,
    children: [
      { name: a1, apiKey: "a" },
      { name: a2, env: { ANTHROPIC_API_KEY: "a" } },
      { name: b, apiKey: "b" },
    ],
    options: { capacity: { maxConcurrentTurns: { total: 5, perKey: 1 } } },
  });
  const replies = [query(a1, "a1"), query(a2, "a2"), query(b, "b")];
  await eventually(() => running.size === 2 && scene.supervisor.capacity().turns.waiting === 1);
  expect([...running.keys()].toSorted()).toEqual(["a1", "b"]);
  end("a1");
  await eventually(() => running.has("a2"));
  end("a2");
  end("b");
  await Promise.all(replies);
});

test("maxConcurrentTurns: rejects a turn with CAPACITY_EXHAUSTED at its queue timeout, and removes it from the line", async () => {
  const { script, running, end } = held();
  const clock = new SimulatedClock();
  const [works, late] = names(2) as [string, string];
  await using scene = await Scene.open({
    clock,
    script,
    children: [{ name: works }, { name: late, queueTimeout: "1m" }],
    options: { capacity: { maxConcurrentTurns: 1 } },
  });
  const first = query(works, "long");
  await eventually(() => running.has("long"));
  const turn = stream(late, "late");
  const refused = failure(turn.result(), "CAPACITY_EXHAUSTED");
  await eventually(() => scene.supervisor.capacity().turns.waiting === 1);
  await clock.advance(60_000);
  const error = await refused;
  expect(error.details).toEqual({ turnId: turn.id, timeoutMs: 60_000, maxConcurrentTurns: 1, busy: 1 });
  expect(error.message).toContain("1 turns at a time");
  await eventually(() => scene.supervisor.capacity().turns.waiting === 0);
  const next = stream(late, "next");
  await eventually(() => scene.supervisor.capacity().turns.waiting === 1);
  await next.interrupt();
  await failure(next.result(), "TURN_CANCELLED");
  await eventually(() => scene.supervisor.capacity().turns.waiting === 0);
  end("long");
  await first;
});

test.each(["crash", "interrupt", "terminate", "stop the process"] as const)(
  "maxConcurrentTurns: lets the next turn run after a turn that ends by %s",
  async (how) => {
    const { script, running, end } = held();
    const [works, late] = names(2) as [string, string];
    await using scene = await Scene.open({
      script: async (turn) => {
        if (turn.prompt === "long") await turn.partial("I");
        await script(turn);
      },
      children: [{ name: works }, { name: late }],
      options: { capacity: { maxConcurrentTurns: 1 } },
    });
    const turn = stream(works, "long");
    const over = turn.result().catch((error: { code: string }) => error.code);
    await eventually(() => running.has("long"));
    const next = query(late, "next");
    await eventually(() => scene.supervisor.capacity().turns.waiting === 1);
    if (how === "crash") scene.fake.processes[0]?.kill("SIGKILL");
    if (how === "interrupt") await turn.interrupt();
    if (how === "terminate") await scene.supervisor.terminateSession(works);
    if (how === "stop the process") await scene.supervisor.restartSession(works);
    await eventually(() => running.has("next"));
    end("next");
    expect((await next).text).toBe("did next");
    expect(await over).toBe("TURN_INTERRUPTED");
  },
);

test("maxConcurrentTurns: a waiting session can be terminated, and its process can crash", async () => {
  const { script, running, end } = held();
  const [works, waits, gone] = names(3) as [string, string, string];
  await using scene = await Scene.open({
    script,
    children: [{ name: works }, { name: waits }, { name: gone }],
    options: { capacity: { maxConcurrentTurns: 1 } },
  });
  const first = query(works, "first");
  await eventually(() => running.has("first"));
  const [second, third] = [query(waits, "second"), failure(query(gone, "third"), "SESSION_STOPPED")];
  await eventually(() => scene.supervisor.capacity().turns.waiting === 2);
  await scene.supervisor.terminateSession(gone);
  await third;
  expect(scene.supervisor.capacity().turns.waiting).toBe(1);
  const { pid } = session(waits).status();
  scene.fake.processes.find((process) => process.pid === pid)?.kill("SIGKILL");
  end("first");
  await first;
  await eventually(() => running.has("second"));
  end("second");
  expect((await second).text).toBe("did second");
});

test("maxConcurrentTurns: completes all turns with fewer turns than processes, fewer processes than sessions, and crashes", async () => {
  let [most, running, asked] = [0, 0, 0];
  const [list, crashed] = [names(12), new Set<string>()];
  await using scene = await Scene.open({
    script: async (turn) => {
      running += 1;
      most = Math.max(most, running);
      asked += 1;
      try {
        // Each turn crashes once at most.
        if (asked % 7 === 0 && !crashed.has(turn.prompt)) {
          crashed.add(turn.prompt);
          await turn.crash({ signal: "SIGKILL" });
        }
        await turn.text("done");
      } finally {
        running -= 1;
      }
    },
    children: list.map((name) => ({ name })),
    options: { maxRestarts: 1_000, capacity: { maxProcesses: 4, maxConcurrentTurns: { total: 3, perKey: 2 } } },
  });
  const turns = list.flatMap((name) => Array.from({ length: 4 }, (_, n) => query(name, `${name} ${n}`)));
  const replies = await Promise.all(turns);
  expect(replies).toHaveLength(48);
  expect(crashed.size).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(2);
  await eventually(() => scene.supervisor.capacity().turns.running === 0);
  expect(scene.supervisor.capacity().turns).toEqual({ running: 0, waiting: 0 });
});

test.each([0, -1, 1.5, "3", { total: 0 }, { perKey: "1" }, { perSession: 1 }])(
  "maxConcurrentTurns: rejects the limit %j",
  async (wrong) => {
    const capacity = { maxConcurrentTurns: wrong as number };
    await failure(run({ fake: fakeClaude(), journal: memoryJournal() }, [], { capacity }), "INVALID_OPTIONS");
  },
);
