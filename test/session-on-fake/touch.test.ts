import { expect, test } from "vitest";
import { query, session, stream, touch } from "../../src/castellan.ts";
import { template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

const state = (name: Parameters<typeof session>[0]): string => session(name).status().state;

/** Lets each prompt wait until it is released. */
function gated(): { readonly script: FakeScript; readonly open: () => void } {
  const gate = Promise.withResolvers<void>();
  return {
    script: async (turn) => {
      if (turn.prompt === "wait") await gate.promise;
      await turn.text("done");
    },
    open: () => gate.resolve(),
  };
}

test("touch(): starts the process of a hibernated session, once for several calls, and the next turn uses it", async () => {
  await using scene = await Scene.open({ script: count });
  const { name } = scene;
  await query(name, "hi");
  await session(name).hibernate();
  expect(await Promise.all([touch(name), touch(name), session(name).touch()])).toEqual([
    "starting",
    "starting",
    "starting",
  ]);
  await eventually(() => state(name) === "idle");
  expect(await touch(name)).toBe("ready");
  expect(scene.fake.processes).toHaveLength(2);
  const { pid } = session(name).status();
  expect((await query(name, "again")).text).toBe("2");
  expect(session(name).status()).toMatchObject({ pid, starts: 2, restarts: 0 });
});

test("touch(): starts a session of a template that nobody has named, on a spare if one fits", async () => {
  const [name, clock] = [unique("family"), new SimulatedClock()];
  await using scene = await Scene.open({
    clock,
    script: count,
    children: [template(name)],
    options: { capacity: { spares: 1 } },
  });
  await clock.advance(600);
  await eventually(() => scene.supervisor.capacity().spares.ready === 1);
  const [spare] = scene.fake.running;
  expect(await touch([name, 1])).toBe("starting");
  await eventually(() => state([name, 1]) === "idle");
  expect(session([name, 1]).status()).toMatchObject({ pid: spare?.pid, starts: 1 });
  expect(await touch([name, 2])).toBe("starting");
  await eventually(() => state([name, 2]) === "idle");
  expect((await query([name, 2], "hi")).text).toBe("0");
  expect(scene.fake.processes).toHaveLength(2);
});

test("touch(): rejects a name that nobody has, and sessions that take no turns", async () => {
  await using scene = await Scene.open({ script: count });
  await failure(touch(unique("nobody")), "SESSION_NOT_FOUND");
  const { session: handle } = scene;
  await scene.supervisor.terminateSession(scene.name);
  await failure(handle.touch(), "SESSION_STOPPED");
  await scene.supervisor.stop();
  await failure(handle.touch(), "SESSION_STOPPED");
});

test("touch(): lets the touched session hibernate after its idle time, which a touch begins anew", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: count, session: { activation: "lazy", idleTimeout: "10s" } });
  const { name } = scene;
  await touch(name);
  await eventually(() => state(name) === "idle");
  await clock.advance(9_000);
  expect(await touch(name)).toBe("ready");
  await clock.advance(9_000);
  expect(state(name)).toBe("idle");
  await clock.advance(1_000);
  await eventually(() => state(name) === "hibernated" && scene.fake.running.length === 0);
});

test("touch(): takes the slot of the session that has been idle longest", async () => {
  const [a, b, c] = [unique(), unique(), unique()];
  await using scene = await Scene.open({
    script: count,
    children: [{ name: a }, { name: b }, { name: c, activation: "lazy" }],
    options: { capacity: { maxProcesses: 2 } },
  });
  await query(a, "hi");
  await query(b, "hi");
  expect(await touch(c)).toBe("starting");
  await eventually(() => state(c) === "idle");
  expect([state(a), state(b)]).toEqual(["hibernated", "idle"]);
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 2, waiting: 0 });
});

test("touch(): starts nothing while all processes are busy, and leaves no request behind", async () => {
  const [{ script, open }, busy, late] = [gated(), unique(), unique()];
  await using scene = await Scene.open({
    script,
    children: [{ name: busy }, { name: late, activation: "lazy" }],
    options: { capacity: { maxProcesses: 1 } },
  });
  const turn = stream(busy, "wait");
  await eventually(() => state(busy) === "busy");
  expect(await touch(late)).toBe("full");
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 1, waiting: 0 });
  // A turn waits in line; a touch of its session changes nothing.
  const reply = query(late, "go");
  await eventually(() => scene.supervisor.capacity().waiting === 1);
  expect(await touch(late)).toBe("full");
  expect(scene.supervisor.capacity().waiting).toBe(1);
  open();
  expect((await turn.result()).text).toBe("done");
  expect((await reply).text).toBe("done");
});

/** Opens a scene with one slot, held by an idle session whose process takes `shutdown` to end. */
async function slow(shutdown: "3s" | "6s") {
  const clock = new SimulatedClock();
  const [idle, touched, asked] = [unique(), unique(), unique()];
  const scene = await Scene.open({
    clock,
    script: count,
    fake: { endOfInput: "ignore", ignoreSigterm: true },
    children: [
      { name: idle, shutdown },
      { name: touched, activation: "lazy" },
      { name: asked, activation: "lazy" },
    ],
    options: { capacity: { maxProcesses: 1 } },
  });
  return { clock, scene, touched, asked };
}

test("touch(): lets turns that come later have the slot first", async () => {
  const { clock, scene, touched, asked } = await slow("3s");
  await using _ = scene;
  expect(await touch(touched)).toBe("starting");
  const reply = query(asked, "go");
  await eventually(() => scene.supervisor.capacity().waiting === 2);
  await clock.advance(3_000);
  expect((await reply).text).toBe("0");
  expect([session(asked).status().starts, session(touched).status().starts]).toEqual([1, 0]);
});

test("touch(): gives up after five seconds without a slot", async () => {
  const { clock, scene, touched } = await slow("6s");
  await using _ = scene;
  expect(await touch(touched)).toBe("starting");
  await clock.advance(4_999);
  expect(await touch(touched)).toBe("starting");
  expect(scene.supervisor.capacity()).toMatchObject({ processes: 1, waiting: 1 });
  await clock.advance(1);
  await eventually(() => scene.supervisor.capacity().waiting === 0);
  await clock.advance(1_000);
  await eventually(() => scene.supervisor.capacity().processes === 0);
  expect(session(touched).status()).toMatchObject({ state: "hibernated", starts: 0 });
});

test("touch(): leaves an archived session as it is, also one that is not in memory", async () => {
  const [name, journal, fake] = [unique("family"), memoryJournal(), fakeClaude(count)];
  const first = await run({ fake, journal }, [template(name)]);
  await query([name, 1], "hi");
  await session([name, 1]).describe({ archived: true });
  expect(await touch([name, 1])).toBe("archived");
  await first.stop();
  const again = await run({ fake, journal }, [template(name)]);
  expect(await touch([name, 1])).toBe("archived");
  await ticks(20);
  expect(fake.running).toEqual([]);
  expect(await again.findSession([name, 1])).toMatchObject({ state: "archived" });
  await again.stop();
});

test("touch(): has no effect on the start that a turn needs anyway", async () => {
  await using scene = await Scene.open({ script: count, session: { activation: "lazy" } });
  const { name } = scene;
  const reply = query(name, "hi");
  expect(await touch(name)).toBe("starting");
  expect((await reply).text).toBe("0");
  expect(scene.fake.processes).toHaveLength(1);
});

test("touch(): never fails by a start that fails; the session is restarted as after any", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: count,
    fake: { startup: (process, n) => (n === 1 ? process.crash({ code: 1 }) : undefined) },
    session: { activation: "lazy" },
  });
  const { name } = scene;
  expect(await touch(name)).toBe("starting");
  await eventually(() => session(name).status().restarts === 1);
  expect((await within(clock, query(name, "hi"))).text).toBe("0");
});
