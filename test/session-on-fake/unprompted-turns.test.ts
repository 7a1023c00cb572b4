import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { collect, eventually, failure, Scene, ticks, unique } from "./scene.ts";

/** A turn that Claude Code begins by itself and holds open until `release`. */
function heldTurn(): { readonly script: FakeScript; readonly release: () => void; readonly begun: Promise<void> } {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const script: FakeScript = async (turn) => {
    begin();
    const stopped = new Promise<never>((_, reject) => {
      turn.signal.addEventListener("abort", () => reject(turn.signal.reason), { once: true });
    });
    await turn.text("I saw that the task has ended.");
    await Promise.race([promise, stopped]);
    await turn.text("I have dealt with it.");
  };
  return { script, release, begun };
}

async function withOwnTurn(
  origin: "task" | "schedule" = "task",
  setting: Parameters<typeof Scene.open>[0] = {},
): Promise<{ scene: Scene; own: ReturnType<typeof heldTurn> }> {
  const scene = await Scene.open(setting);
  await query(scene.name, "one");
  const own = heldTurn();
  scene.fake.processes[0]?.beginTurn(own.script, origin);
  await own.begun;
  await eventually(() => scene.session.status().turn?.origin === origin);
  return { scene, own };
}

test.each(["task", "schedule"] as const)("Unprompted turn: has id, origin, messages and cost: %s", async (origin) => {
  const { scene, own } = await withOwnTurn(origin);
  await using _ = scene;
  const status = scene.session.status();
  expect(status).toMatchObject({ state: "busy", turn: { origin } });
  const turn = await scene.session.turn(status.turn?.id ?? "");
  own.release();
  expect(await turn?.result()).toMatchObject({ text: "I have dealt with it.", costUsd: 0.01 });
  expect((await collect(turn?.text() ?? (async function* () {})())).join("")).toContain("I saw that");
  await eventually(() => scene.session.status().state === "idle");
  expect(scene.session.status().turn).toBeUndefined();
  expect(await scene.session.usage()).toMatchObject([{ costUsd: 0.02 }]);
});

test("session.events(): reports an unprompted turn like any other, and none of its messages", async () => {
  const scene = await Scene.open();
  await using _ = scene;
  await query(scene.name, "one");
  const events: SessionEvent[] = [];
  const reading = (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  const own = heldTurn();
  scene.fake.processes[0]?.beginTurn(own.script);
  own.release();
  await eventually(() => events.some(({ type }) => type === "turn_ended"));
  await scene.supervisor.stop();
  await reading;
  expect(events.filter((event) => event.number !== undefined && "turnId" in event)).toMatchObject([
    { type: "turn_accepted", origin: "task" },
    { type: "turn_started", attempt: 1 },
    { type: "text", text: "I saw that the task has ended." },
    { type: "text", text: "I have dealt with it." },
    { type: "spent" },
    { type: "turn_ended", state: "completed", costUsd: 0.01 },
  ]);
  expect(events.flatMap((event) => (event.type === "message" ? [event.message.type] : []))).not.toContain("assistant");
});

test("Unprompted turn: keeps the process from hibernation", async () => {
  const { scene, own } = await withOwnTurn();
  await using _ = scene;
  await scene.supervisor.reconcile([{ name: scene.name, idleTimeout: 1 }]);
  const [process] = scene.fake.processes;
  await failure(scene.session.hibernate(), "SESSION_BUSY");
  expect(process?.state).toBe("running");
  own.release();
  await eventually(() => process?.state === "exited");
  expect(scene.transcript().slice(-1)).toEqual(["assistant: I have dealt with it."]);
});

test("Unprompted turn: a caller's turn waits for its end and is separate from it", async () => {
  const { scene, own } = await withOwnTurn();
  await using _ = scene;
  const turn = stream(scene.name, "two");
  expect(scene.session.status().mailbox).toBe(1);
  own.release();
  expect((await turn.result()).text).toBe("You said: two");
  expect(scene.transcript().slice(-4)).toEqual([
    "assistant: I saw that the task has ended.",
    "assistant: I have dealt with it.",
    "user: two",
    "assistant: You said: two",
  ]);
});

test.each([
  ["a timeout", (scene: Scene) => failure(query(scene.name, "two", { timeout: 10 }), "TURN_TIMEOUT")],
  [
    "an interrupt",
    async (scene: Scene) => {
      const turn = stream(scene.name, "two");
      await turn.interrupt();
      await failure(turn.result(), "TURN_CANCELLED");
    },
  ],
  [
    "an abort",
    (scene: Scene) => failure(query(scene.name, "two", { signal: AbortSignal.timeout(10) }), "TURN_CANCELLED"),
  ],
  [
    "a takeover",
    async (scene: Scene) => {
      stream(scene.name, "two", { whenBusy: "interrupt" });
    },
  ],
])("Unprompted turn: is not affected by %s of a queued turn", async (_name, act) => {
  const { scene, own } = await withOwnTurn();
  await using _ = scene;
  const id = scene.session.status().turn?.id ?? "";
  await act(scene);
  own.release();
  expect((await (await scene.session.turn(id))?.result())?.text).toBe("I have dealt with it.");
  expect((await query(scene.name, "three")).text).toBe("You said: three");
});

test("Unprompted turn: is not affected when a prompt that the process has received is interrupted", async () => {
  const own = heldTurn();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "one") {
        // The notification is queued before the next prompt.
        turn.afterResult(async () => {
          scene.fake.processes[0]?.beginTurn(own.script);
          await asked;
        });
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  await query(scene.name, "one");
  const turn = stream(scene.name, "two");
  await scene.fake.prompted(2);
  ask();
  await own.begun;
  await eventually(() => scene.session.status().turn?.origin === "task");
  const id = scene.session.status().turn?.id ?? "";
  await turn.interrupt();
  await failure(turn.result(), "TURN_CANCELLED");
  own.release();
  expect((await (await scene.session.turn(id))?.result())?.text).toBe("I have dealt with it.");
  expect((await query(scene.name, "three")).text).toBe("re: three");
  expect(scene.transcript()).not.toContain("user: two");
});

test("session.interrupt(): interrupts an unprompted turn", async () => {
  const { scene } = await withOwnTurn();
  await using _ = scene;
  const turn = await scene.session.turn(scene.session.status().turn?.id ?? "");
  await scene.session.interrupt();
  await failure(turn?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
  expect((await query(scene.name, "two")).text).toBe("You said: two");
});

test("Unprompted turn: rejects with TURN_INTERRUPTED after a crash, and its text stays in the conversation", async () => {
  const { scene } = await withOwnTurn();
  await using _ = scene;
  const turn = await scene.session.turn(scene.session.status().turn?.id ?? "");
  scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
  const { details } = await failure(turn?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
  expect(details).toMatchObject({ partialText: "I saw that the task has ended.", exit: { class: "crash" } });
  expect((await query(scene.name, "two")).text).toBe("You said: two");
  expect(scene.transcript()).toContain("assistant: I saw that the task has ended.");
});

test("Unprompted turn: a crash in the caller's turn after it keeps it in the conversation", async () => {
  let crashed = false;
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "two" && !crashed) {
        crashed = true;
        await turn.crash({ signal: "SIGKILL" });
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  await query(scene.name, "one");
  const own = heldTurn();
  own.release();
  scene.fake.processes[0]?.beginTurn(own.script);
  await own.begun;
  expect((await query(scene.name, "two")).text).toBe("re: two");
  expect(scene.transcript().slice(-3)).toEqual(["assistant: I have dealt with it.", "user: two", "assistant: re: two"]);
});

test("supervisor.drain(): waits for unprompted turns and background tasks", async () => {
  const { scene, own } = await withOwnTurn();
  await using _ = scene;
  const tasks = (list: object[]): string =>
    `${JSON.stringify({ type: "system", subtype: "background_tasks_changed", tasks: list, session_id: "", uuid: "" })}\n`;
  const [process] = scene.fake.processes;
  process?.write(tasks([{ task_id: "t", task_type: "local_bash", description: "x" }]));
  await eventually(() => scene.session.status().backgroundTasks === 1);
  let drained = false;
  const draining = scene.supervisor.drain({ deadline: "1m" }).then((report) => {
    drained = true;
    return report;
  });
  own.release();
  await eventually(() => scene.session.status().turn === undefined);
  expect([drained, process?.state]).toEqual([false, "running"]);
  process?.write(tasks([]));
  expect(await draining).toEqual({ completed: true });
});

test("Unprompted turn: an ended background task keeps the session busy until Claude Code reports idle", async () => {
  await using scene = await Scene.open();
  await query(scene.name, "one");
  const [process] = scene.fake.processes;
  const tell = (message: object): void =>
    void process?.write(`${JSON.stringify({ ...message, session_id: "", uuid: "" })}\n`);
  tell({ type: "system", subtype: "task_notification", task_id: "t", status: "stopped" });
  await eventually(() => scene.session.status().state === "busy");
  const turn = stream(scene.name, "two");
  expect(scene.session.status().mailbox).toBe(1);
  tell({ type: "system", subtype: "session_state_changed", state: "idle" });
  expect((await turn.result()).text).toBe("You said: two");
});

test("Unprompted turn: an overloaded API puts the session on hold", async () => {
  await using scene = await Scene.open();
  await query(scene.name, "one");
  scene.fake.processes[0]?.beginTurn((turn) => turn.fail({ status: 529, message: "Overloaded" }));
  await eventually(() => scene.session.status().waitingFor?.for === "overload");
  expect(scene.session.status().state).toBe("waiting");
});

test("Turn.origin: names who began a turn of a pool's former member", async () => {
  const name = unique("pool");
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const first = await run(both, [pool(name, { size: 2 })]);
  const loans = [await first.pool(name).checkout(), await first.pool(name).checkout()];
  const ids: string[] = [];
  for (const [index, { session }] of loans.entries()) {
    await session.query("one");
    both.fake.processes[index]?.beginTurn((turn) => turn.text("The task has ended."));
    const own = async () =>
      (await session.turns()).find(({ origin, state }) => origin === "task" && state === "completed");
    let found = await own();
    for (; found === undefined; found = await own()) await ticks(1);
    ids.push(found.id);
  }
  await first.stop();
  // One of the two members is gone.
  await using second = await run(both, [pool(name, { size: 1 })]);
  const turns = await Promise.all(ids.map((id) => second.pool(name).turn(id)));
  expect(turns.map((turn) => turn?.origin)).toEqual(["task", "task"]);
});
