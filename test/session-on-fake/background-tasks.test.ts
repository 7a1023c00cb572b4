import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { type FakeTurn, SimulatedClock } from "../../src/testing/index.ts";
import { eventually, Scene, type Setting } from "./scene.ts";

const MINUTE = 60_000;

interface ReportedTask {
  readonly id: string;
  readonly run?: string;
  readonly ambient?: boolean;
}

const tasksChanged = (...tasks: ReportedTask[]) => ({
  type: "system",
  subtype: "background_tasks_changed",
  tasks: tasks.map(({ id, run, ambient }) => ({
    task_id: id,
    task_type: "local_bash",
    description: `task ${id}`,
    ...(run === undefined ? {} : { run_id: run }),
    ...(ambient === undefined ? {} : { ambient }),
  })),
});

/** Opens a session whose process reports background tasks as the test dictates. */
async function openWithTasks(setting: Setting, ...tasks: ReportedTask[]) {
  const clock = new SimulatedClock();
  let emit: FakeTurn["emit"] = () => Promise.resolve();
  const closed = Promise.withResolvers<void>();
  const scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt === "start") {
        await turn.emit(tasksChanged(...tasks));
        emit = (message) => turn.emit(message);
        turn.afterResult(() => closed.promise);
      }
      await turn.text("it goes on");
    },
    ...setting,
  });
  const events: SessionEvent[] = [];
  void (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  await query(scene.name, "start");
  const stopped = (): string[] => events.flatMap((event) => (event.type === "task_overdue" ? [event.task.id] : []));
  return {
    scene,
    clock,
    stopped,
    report: (...now: ReportedTask[]) => emit(tasksChanged(...now)),
    done: closed.resolve,
  };
}

test("session.status().tasks: has the start time of each task, and a new one for a resumed task", async () => {
  const { scene, clock, report, done } = await openWithTasks({}, { id: "a", run: "1" });
  await using _ = scene;
  const began = clock.now();
  await clock.advance(MINUTE);
  await report({ id: "a", run: "1" }, { id: "b", ambient: true });
  await eventually(() => scene.session.status().tasks.length === 2);
  expect(scene.session.status().tasks).toEqual([
    { id: "a", type: "local_bash", description: "task a", since: began, ambient: false },
    { id: "b", type: "local_bash", description: "task b", since: began + MINUTE, ambient: true },
  ]);
  await clock.advance(MINUTE);
  await report({ id: "a", run: "2" });
  await eventually(() => scene.session.status().tasks[0]?.since === began + 2 * MINUTE);
  expect(scene.session.status().tasks).toHaveLength(1);
  done();
});

test("backgroundTaskTimeout: stops a task that runs too long, but no ambient task", async () => {
  const session = { backgroundTaskTimeout: "10m" };
  const { scene, clock, stopped, report, done } = await openWithTasks(
    { session },
    { id: "a" },
    { id: "b", ambient: true },
  );
  await using _ = scene;
  await clock.advance(10 * MINUTE - 1);
  expect(stopped()).toEqual([]);
  await clock.advance(1);
  await eventually(() => stopped().length > 0);
  await report({ id: "b", ambient: true });
  await eventually(() => scene.session.status().tasks.length === 1);
  await clock.advance(60 * MINUTE);
  expect(stopped()).toEqual(["a"]);
  // The task has ended, and its process still runs.
  expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0, starts: 1 });
  done();
});

test("backgroundTaskTimeout: replaces the process when the task does not stop, and the session answers the next turn", async () => {
  const { scene, clock, stopped } = await openWithTasks({ session: { backgroundTaskTimeout: "10m" } }, { id: "a" });
  await using _ = scene;
  await clock.advance(10 * MINUTE);
  await eventually(() => stopped().length > 0);
  await clock.advance(5_000);
  await eventually(() => scene.session.status().starts === 2 && scene.session.status().state === "idle");
  expect(scene.session.status()).toMatchObject({ tasks: [], lastExit: { class: "stalled" }, restarts: 1 });
  expect((await query(scene.name, "two")).text).toBe("it goes on");
});

test("backgroundTaskTimeout: counts from the start of the task when the limit is set later", async () => {
  const { scene, clock, stopped } = await openWithTasks({}, { id: "a" });
  await using _ = scene;
  await clock.advance(30 * MINUTE);
  await scene.supervisor.reconcile([{ name: scene.name, backgroundTaskTimeout: "40m" }]);
  await clock.advance(9 * MINUTE);
  expect(stopped()).toEqual([]);
  await clock.advance(MINUTE);
  await eventually(() => stopped().length > 0);
  expect(stopped()).toEqual(["a"]);
});
