import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { eventually, failure, Scene, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

test("Supervisor.start(): reports a session that is still starting after 90 seconds", async () => {
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

test("Supervisor.start(): quarantines a session after six slow failed starts", async () => {
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

test("Session handle: rejects with SESSION_STOPPED after its session ended, though the name is in use again", async () => {
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

test("restartSession() and drain(): reject misspelt options, and change nothing", async () => {
  await using scene = await Scene.open();
  const { supervisor, name } = scene;
  await failure(supervisor.restartSession(name, { conversation: "clean" as "clear" }), "INVALID_OPTIONS");
  const misspelt: object = { deadlin: "1s" };
  await failure(supervisor.drain(misspelt), "INVALID_OPTIONS");
  await eventually(() => supervisor.session(name).status().state === "idle");
  expect(scene.fake.processes).toHaveLength(1);
});
