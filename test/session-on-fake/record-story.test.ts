import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { command } from "../../src/session/options/command.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import type { Session } from "../../src/session/session.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { collect, eventually, failure, Scene, ticks, unique } from "./scene.ts";

async function recordOf(of: Session): Promise<SessionEvent[]> {
  return await collect(of.events({ live: false }));
}

/** What happened to the processes of a session. */
function processes(events: readonly SessionEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === "started") return `started: ${event.reason}`;
    if (event.type === "exit") return `exit: ${event.exit.class}`;
    return event.type === "quarantined" ? event.type : [];
  });
}

test("session.events(): tells of failed starts and a quarantine, and of the restart that ends it", async () => {
  let broken = true;
  await using scene = await Scene.open({
    fake: { startup: (process) => (broken ? process.crash({ code: 7, stderr: "no such flag" }) : undefined) },
  });
  await eventually(() => scene.session.status().state === "quarantined");
  broken = false;
  await scene.session.restart();
  await scene.session.query("hi");
  const told = processes(await recordOf(scene.session));
  const exits = told.filter((line) => line.startsWith("exit")).length;
  expect(exits).toBe(scene.session.status().restarts);
  expect(told.slice(exits)).toEqual(["quarantined", "started: start"]);
  expect(told.slice(0, exits).every((line) => line.startsWith("exit"))).toBe(true);
});

test("session.events(): tells the exit of a process before what follows from it, once", async () => {
  const task = { task_id: "t", task_type: "local_bash", description: "watch" };
  await using scene = await Scene.open({
    session: { approvals: true, onInterruptedTurn: "fail" },
    script: async (turn) => {
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [task] });
      await turn.toolUse("Bash", { command: "ls" }, { ask: true });
    },
  });
  const turn = scene.session.stream("hi");
  await eventually(() => scene.session.approvals().length > 0);
  scene.fake.processes[0]?.crash();
  await failure(turn.result(), "TURN_INTERRUPTED");
  await ticks(5);
  const types = (await recordOf(scene.session)).map(({ type }) => type);
  expect(types.filter((type) => type === "exit")).toHaveLength(1);
  const followed = ["exit", "task_ended", "approval_settled", "turn_ended"];
  expect(types.slice(types.indexOf("exit")).slice(0, 4)).toEqual(followed);
});

test("session.events(): tells the turn of a cleared conversation, a compaction and a background task", async () => {
  const task = { task_id: "t", task_type: "local_bash", description: "watch" };
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [task] });
      await turn.text("ok");
    },
  });
  const { turnId: started } = await scene.session.query("hi");
  const compacted = scene.session.stream(command("compact"));
  await compacted.result();
  const cleared = scene.session.stream(command("clear"));
  const { sessionId } = await cleared.result();
  await scene.session.clear();
  const record = await recordOf(scene.session);
  const told = record.filter(({ type }) => ["conversation", "compacted", "task_started"].includes(type));
  expect(told).toMatchObject([
    { type: "task_started", turnId: started },
    { type: "compacted", turnId: compacted.id },
    { type: "conversation", turnId: cleared.id, conversationId: sessionId, change: "cleared" },
    { type: "conversation", change: "cleared" },
  ]);
  expect(told.at(-1)).not.toHaveProperty("turnId");
});

test("session.events(): a damaged event fails its readers with its numbers, and keeps no session from starting", async () => {
  const inner = memoryJournal();
  let isDamaged = false;
  const message = "the row of the events from 2 to 3 differs";
  const journal: Journal = new Proxy(inner, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== "events") return typeof value === "function" ? value.bind(target) : value;
      const events: Journal["events"] = async (query) => {
        const read = await target.events(query);
        const at = isDamaged ? read.findIndex(({ number }) => number === 2 || number === 3) : -1;
        if (at === 0) throw new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" } });
        return at === -1 ? read : read.slice(0, at);
      };
      return events;
    },
  });
  const both = { fake: fakeClaude(), journal };
  const name = unique();
  const first = await run(both, [{ name }]);
  await session(name).query("one");
  await first.stop();
  isDamaged = true;
  await using _ = await run(both, [{ name }], { name: unique() });
  await session(name).query("two");
  expect(session(name).status().state).toBe("idle");
  const error = await failure(collect(session(name).events({ after: 0, live: false })), "JOURNAL_UNAVAILABLE");
  expect(error.message).toContain(message);
  const rest = await collect(session(name).events({ after: 3, live: false }));
  const numbers = rest.map(({ number }) => number);
  expect(numbers).toEqual(numbers.map((_, index) => index + 4));
  const ends = rest.filter(({ type }) => type === "turn_ended");
  expect(ends).toMatchObject([{ state: "completed" }, { state: "completed" }]);
});
