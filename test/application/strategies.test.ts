import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { eventually, failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

const remember = {
  script: (turn: { history: readonly unknown[]; text(text: string): Promise<void> }) =>
    turn.text(`${turn.history.length}`),
};

async function three(strategy: "one_for_one" | "one_for_all" | "rest_for_one") {
  const names = [unique("a"), unique("b"), unique("c")] as const;
  const scene = await Scene.open({ ...remember, children: names.map((name) => ({ name })), options: { strategy } });
  for (const name of names) await query(name, "one");
  return { scene, names };
}

const activations = (names: readonly string[]) => names.map((name) => session(name).status().starts);

test.each([
  ["one_for_one", [1, 2, 1]],
  ["rest_for_one", [1, 2, 2]],
  ["one_for_all", [2, 2, 2]],
] as const)("strategy: %s restarts its children with their conversations", async (strategy, expected) => {
  const { scene, names } = await three(strategy);
  await using _ = scene;
  const middle = session(names[1]).status().pid;
  scene.fake.processes.find(({ pid }) => pid === middle)?.kill("SIGKILL");
  await eventually(() => activations(names).join() === expected.join());
  for (const name of names) expect((await query(name, "two")).text).toBe("2");
  expect(activations(names)).toEqual(expected);
  expect(scene.fake.running).toHaveLength(3);
});

test("strategy: one_for_all retries a sibling's untouched turn, and interrupts a touched one", async () => {
  const [a, b, c] = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({
    children: [{ name: a }, { name: b }, { name: c }],
    options: { strategy: "one_for_all" },
    script: async (turn) => {
      if (turn.prompt === "touched") await turn.partial("half");
      if (turn.history.length === 0 && scene.fake.processes.length === 3) await turn.hang();
      await turn.text("whole");
    },
  });
  const untouched = query(b, "untouched");
  const touched = session(c).stream("touched");
  for await (const _ of touched.text()) break;
  await scene.fake.prompted(2);
  const pid = session(a).status().pid;
  scene.fake.processes.find((process) => process.pid === pid)?.crash();
  expect((await untouched).text).toBe("whole");
  expect((await failure(touched.result(), "TURN_INTERRUPTED")).details.partialText).toBe("half");
});

test("maxRestarts: four crashes quarantine one session, and another's turn completes", async () => {
  const [fragile, steady] = [unique("fragile"), unique("steady")];
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    children: [{ name: fragile }, { name: steady }],
    script: async (turn) => {
      await turn.partial("one, ");
      await open.promise;
      await turn.text("two");
    },
  });
  const reply = query(steady, "count");
  await scene.fake.prompted(1);
  for (let crash = 1; crash <= 4; crash++) {
    await eventually(() => session(fragile).status().state === "idle");
    const { pid } = session(fragile).status();
    scene.fake.processes.find((process) => process.pid === pid)?.crash({ code: 10 + crash });
    await eventually(() => session(fragile).status().state !== "idle");
  }
  await eventually(() => session(fragile).status().state === "quarantined");
  const error = await failure(query(fragile, "hi"), "SESSION_QUARANTINED");
  expect(error.details.lastExits.map(({ code }) => code)).toEqual([11, 12, 13, 14]);
  expect(scene.log.some((line) => line.includes(fragile) && line.includes("is quarantined"))).toBe(true);
  open.resolve();
  expect((await reply).text).toBe("one, two");
  expect(session(steady).status().starts).toBe(1);

  await scene.supervisor.restartSession(fragile);
  expect((await query(fragile, "back")).text).toBe("one, two");
  expect(session(fragile).status().state).toBe("idle");
});

test("Quarantine: rejects queued turns with SESSION_QUARANTINED", async () => {
  await using scene = await Scene.open({ fake: { startup: (process, n) => (n > 1 ? process.crash() : undefined) } });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state === "restarting");
  const turns = [query(scene.name, "one"), query(scene.name, "two")];
  for (const turn of turns) await failure(turn, "SESSION_QUARANTINED");
});

test('onMaxRestarts: "escalate" ends the supervisor, and `closed` has the cause', async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({
    children: [{ name: a }, { name: b }],
    options: { onMaxRestarts: "escalate", maxRestarts: 0 },
    script: (turn) => (turn.prompt === "die" ? turn.crash({ code: 42 }) : turn.hang()),
  });
  const other = query(b, "work");
  await scene.fake.prompted(1);
  const dying = query(a, "die");
  await failure(dying, "SUPERVISOR_STOPPED");
  await failure(other, "SUPERVISOR_STOPPED");
  expect(await scene.supervisor.closed).toMatchObject({ reason: "max_restarts", cause: { class: "crash", code: 42 } });
  expect(scene.fake.running).toEqual([]);
  await failure(scene.supervisor.query(b, "hi"), "SUPERVISOR_STOPPED");
  await thrown(() => session(b), "SESSION_NOT_FOUND");
  await scene.supervisor.stop();
});

test('onMaxRestarts: "escalate" rejects a failing start, and leaves nothing', async () => {
  const name = unique();
  const opening = Scene.open({
    children: [{ name }],
    options: { onMaxRestarts: "escalate" },
    fake: { startup: (process) => process.crash() },
  });
  const error = await failure(opening, "CHILD_START_FAILED");
  expect(error.message).toContain(name);
  expect(error.message).toContain("more than 3 restarts in 5 s");
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test('restart: "temporary" ends a session with its process, and frees the name', async () => {
  await using scene = await Scene.open({
    session: { restart: "temporary" },
    script: (turn) => turn.crash({ code: 5 }),
  });
  const handle = scene.session;
  const error = await failure(query(scene.name, "hi"), "SESSION_STOPPED");
  expect(error.message).toContain("code 5");
  await eventually(() => scene.supervisor.countSessions() === 0);
  await thrown(() => session(scene.name), "SESSION_NOT_FOUND");
  expect(handle.status()).toMatchObject({ state: "stopped", lastExit: { class: "crash" } });
  expect(scene.fake.processes).toHaveLength(1);
  await scene.supervisor.startSession({ name: scene.name });
});

test('restart: "temporary" is not restarted by one_for_all', async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({
    children: [{ name: a }, { name: b, restart: "temporary" }],
    options: { strategy: "one_for_all" },
  });
  const { pid } = session(a).status();
  scene.fake.processes.find((process) => process.pid === pid)?.crash();
  await eventually(() => scene.supervisor.countSessions() === 1 && session(a).status().starts === 2);
  await thrown(() => session(b), "SESSION_NOT_FOUND");
  expect((await query(a, "hi")).text).toBe("You said: hi");
  expect(scene.fake.running).toHaveLength(1);
});

test('restart: "transient" is restarted after a crash', async () => {
  await using scene = await Scene.open({ ...remember, session: { restart: "transient" } });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  await scene.fake.started(2);
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("autoShutdown: a significant session ends its supervisor", async () => {
  const [main, side] = [unique("main"), unique("side")];
  await using scene = await Scene.open({
    children: [{ name: main, restart: "temporary", significant: true }, { name: side }],
    options: { autoShutdown: "any_significant" },
  });
  const { pid } = session(main).status();
  scene.fake.processes.find((process) => process.pid === pid)?.crash({ code: 6 });
  expect(await scene.supervisor.closed).toMatchObject({ reason: "auto_shutdown", cause: { code: 6 } });
  expect(scene.fake.running).toEqual([]);
  await thrown(() => session(side), "SESSION_NOT_FOUND");
});
