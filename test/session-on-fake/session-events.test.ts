import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { command } from "../../src/session/options/command.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { FakeTurn } from "../../src/testing/index.ts";
import { collect, eventually, Scene } from "./scene.ts";

const task = (id: string, ambient?: boolean) => ({
  task_id: id,
  task_type: "local_bash",
  description: `task ${id}`,
  ...(ambient === undefined ? {} : { ambient }),
});

const tasksChanged = (...tasks: object[]) => ({ type: "system", subtype: "background_tasks_changed", tasks });

/** Emits a turn that Claude Code begins by itself after a background task has ended. */
async function notified(turn: FakeTurn, text: string): Promise<void> {
  await turn.emit({ type: "system", subtype: "task_notification", task_id: "t", status: "completed", summary: text });
  await turn.emit({
    type: "assistant",
    parent_tool_use_id: null,
    message: { id: `msg_${text}`, role: "assistant", model: "m", content: [{ type: "text", text }], usage: {} },
  });
  await turn.emit({
    type: "result",
    subtype: "success",
    is_error: false,
    duration_ms: 0,
    duration_api_ms: 0,
    num_turns: 1,
    result: text,
    stop_reason: "end_turn",
    total_cost_usd: 0,
    usage: {},
    modelUsage: {},
    permission_denials: [],
    origin: { kind: "task-notification" },
  });
}

/** Collects the events of a session from now on. */
function listen(scene: Scene) {
  const seen: SessionEvent[] = [];
  const events = scene.session.events();
  const over = (async () => {
    for await (const event of events) seen.push(event);
  })();
  return { seen, over };
}

/** States, and events that are not about turns. */
const typesOf = (seen: readonly SessionEvent[]): string[] =>
  seen.flatMap((event) => {
    if (event.type === "state") return event.state;
    if (event.type === "task_started") return event.type;
    return "turnId" in event || event.type.endsWith("_changed") || event.type === "message" ? [] : event.type;
  });

test("session.events(): yields states and exits, and ends with the session", async () => {
  await using scene = await Scene.open();
  const { seen, over } = listen(scene);
  await query(scene.name, "hi");
  scene.fake.processes[0]?.crash({ code: 7 });
  await eventually(() => scene.session.status().restarts === 1 && scene.session.status().state === "idle");
  await scene.session.stop();
  await over;
  expect(typesOf(seen)).toEqual(["busy", "idle", "exit", "restarting", "started", "idle", "stopped", "exit"]);
  const exits = seen.flatMap((event) => (event.type === "exit" ? [event.exit] : []));
  expect(exits).toMatchObject([{ class: "crash", code: 7 }, { class: "done" }]);
});

test("session.events(): begins with the call, not with the first read", async () => {
  await using scene = await Scene.open();
  await query(scene.name, "before");
  const events = scene.session.events();
  await query(scene.name, "hi");
  const first: SessionEvent[] = [];
  for await (const event of events) {
    first.push(event);
    if (event.type === "state") break;
  }
  expect(first.map(({ type }) => type)).toEqual(["turn_accepted", "turn_started", "state"]);
});

test("session.events(): reports each new conversation", async () => {
  await using scene = await Scene.open();
  await query(scene.name, "one");
  const { seen } = listen(scene);
  await query(scene.name, command("clear"));
  await eventually(() => seen.some(({ type }) => type === "conversation"));
  await scene.session.clear();
  const conversations = seen.flatMap((event) => (event.type === "conversation" ? [event.conversationId] : []));
  expect(new Set(conversations).size).toBe(2);
  expect(conversations.at(-1)).toBe(scene.session.status().conversationId);
});

test("session.events(): gives every reader all events; leaving one loop ends no other", async () => {
  await using scene = await Scene.open();
  const [one, two] = [listen(scene), listen(scene)];
  const left = scene.session.events();
  await query(scene.name, "hi");
  for await (const _ of left) break;
  await query(scene.name, "and");
  await scene.session.stop();
  await Promise.all([one.over, two.over]);
  expect(one.seen).toEqual(two.seen);
  expect(one.seen.length).toBeGreaterThan(4);
});

test("session.events(): gives a reader that is far behind everything from the journal, and delays no other", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      for (let n = 0; n < 1_200; n++) await turn.emit({ ...tasksChanged(task(`${n}`)) });
      await turn.emit(tasksChanged());
      await turn.text("done");
    },
  });
  const slow = scene.session.events({ types: ["task_started", "turn_ended"] });
  const fast = listen(scene);
  expect((await query(scene.name, "hi")).text).toBe("done");
  await scene.session.stop();
  await fast.over;
  const started = fast.seen.filter(({ type }) => type === "task_started");
  expect(started).toHaveLength(1_200);
  const late = await collect(slow);
  expect(late.filter(({ type }) => type === "task_started")).toEqual(started);
  expect(late.filter(({ type }) => type === "turn_ended")).toHaveLength(1);
});

test("session.events(): is empty for a stopped session", async () => {
  await using scene = await Scene.open();
  const { session } = scene;
  await session.stop();
  expect(await collect(session.events())).toEqual([]);
});

test("session.events(): reports background tasks, which keep the session busy", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit(tasksChanged(task("t"), task("quiet", true)));
      turn.afterResult(async () => {
        await open.promise;
        await turn.emit(tasksChanged(task("quiet", true)));
      });
      await turn.text("it goes on");
    },
  });
  const { seen } = listen(scene);
  expect((await query(scene.name, "hi")).text).toBe("it goes on");
  expect(scene.session.status()).toMatchObject({ state: "busy", backgroundTasks: 2 });
  open.resolve();
  await eventually(() => scene.session.status().state === "idle");
  // An ambient task, such as a watcher, does not keep the session busy.
  expect(scene.session.status().backgroundTasks).toBe(1);
  await eventually(() => seen.some((event) => event.type === "state" && event.state === "idle"));
  expect(typesOf(seen)).toEqual(["busy", "task_started", "task_started", "task_ended", "idle"]);
});

test("session.events(): reports that background tasks ended with their process", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit(tasksChanged(task("t")));
      await turn.text("it goes on");
    },
  });
  await query(scene.name, "hi");
  const { seen } = listen(scene);
  scene.fake.processes[0]?.crash();
  await scene.fake.started(2);
  await eventually(() => scene.session.status().state === "idle");
  expect(scene.session.status().backgroundTasks).toBe(0);
  expect(typesOf(seen)).toContain("task_ended");
});

test("session.events(): yields the messages of an unprompted turn, which are in no caller's turn", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "one") {
        turn.afterResult(async () => {
          await open.promise;
          await notified(turn, "the tests have passed");
        });
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const { seen } = listen(scene);
  const one = stream(scene.name, "one");
  await one.result();
  // This turn is queued before the unprompted one, whose messages arrive first.
  const two = stream(scene.name, "two");
  open.resolve();
  expect((await two.result()).text).toBe("re: two");
  expect(JSON.stringify(await collect(two))).not.toContain("the tests have passed");
  expect(JSON.stringify(await collect(one))).not.toContain("the tests");
  const messages = seen.flatMap((event) => (event.type === "message" ? [event.message] : []));
  const kinds = messages.map((message) => ("subtype" in message ? `${message.type}/${message.subtype}` : message.type));
  expect(kinds).toEqual(expect.arrayContaining(["system/task_notification", "assistant", "result/success"]));
});

test("session.events(): yields the result of an unprompted turn in the middle of a caller's turn", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("the ans");
      await notified(turn, "somebody else's news");
      await turn.text("wer");
    },
  });
  const { seen } = listen(scene);
  const turn = stream(scene.name, "hi");
  expect((await turn.result()).text).toBe("the answer");
  expect((await collect(turn)).filter(({ type }) => type === "result")).toHaveLength(1);
  const results = () => seen.filter((event) => event.type === "message" && event.message.type === "result");
  await eventually(() => results().length > 0);
  expect(results()).toHaveLength(1);
});

test("session.events(): yields messages that arrive while no turn runs", async () => {
  await using scene = await Scene.open();
  const { seen } = listen(scene);
  const [process] = scene.fake.processes;
  const news = {
    type: "system",
    subtype: "task_progress",
    task_id: "t",
    session_id: process?.sessionId,
    uuid: randomUUID(),
  };
  process?.write(`${JSON.stringify(news)}\n`);
  await eventually(() => seen.length > 0);
  expect(seen).toMatchObject([{ type: "message", message: news }]);
});
