import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { eventually, failure, Scene, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

test("a start that neither succeeds nor is given up is not waited for for ever, and is told", async () => {
  const clock = new SimulatedClock();
  let begun = 0;
  const startup = (): Promise<never> => {
    begun = clock.now();
    return new Promise(() => {});
  };
  const opened = Scene.open({ clock, fake: { startup } });
  await using scene = await within(clock, opened);
  const [slow] = scene.supervisor.notStarted;
  expect(slow?.error).toMatchObject({ code: "START_FAILED", message: expect.stringContaining("still starting") });
  expect(clock.now() - begun).toBeLessThan(95_000);
});

test("starts that take their time to fail are not repeated for ever", async () => {
  const clock = new SimulatedClock();
  const open = Scene.open({
    clock,
    fake: {
      startup: (process) => {
        void clock.schedule(10_000, () => process.crash({ code: 1 }));
        return new Promise(() => {});
      },
    },
  });
  await using scene = await within(clock, open);
  const [failed] = scene.supervisor.notStarted;
  expect(CastellanError.is(failed?.error, "SESSION_QUARANTINED")).toBe(true);
  expect(scene.fake.processes.length).toBe(6);
});

test("a handle of a session that has ended is not taken for the next one of its name", async () => {
  await using scene = await Scene.open();
  const { supervisor, name } = scene;
  const stale = supervisor.session(name);
  await supervisor.terminateSession(name);
  const fresh = await supervisor.startSession({ name });
  await failure(supervisor.query(stale, "hi"), "SESSION_STOPPED");
  await failure(supervisor.terminateSession(stale), "SESSION_STOPPED");
  await failure(supervisor.terminateChild(stale), "SESSION_STOPPED");
  expect((await supervisor.query(fresh, "hi")).text).toBe("You said: hi");
});

test("misspelt options of calls are refused, and change nothing", async () => {
  await using scene = await Scene.open();
  const { supervisor, name } = scene;
  await failure(supervisor.restartSession(name, { conversation: "clean" as "clear" }), "INVALID_OPTIONS");
  const misspelt: object = { deadlin: "1s" };
  await failure(supervisor.drain(misspelt), "INVALID_OPTIONS");
  await eventually(() => supervisor.session(name).status().state === "idle");
  expect(scene.fake.processes).toHaveLength(1);
});
