import { expect, test } from "vitest";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { collect, eventually, Scene } from "./scene.ts";

/** Returns the whole record, once live readers and readers of the journal have got the same. */
async function recordOf(scene: Scene, live: AsyncGenerator<SessionEvent, void, undefined>): Promise<SessionEvent[]> {
  const record = await collect(scene.session.events({ live: false }));
  await scene.session.stop();
  const seen = (await collect(live)).filter(({ number }) => number !== undefined);
  expect(seen.slice(0, record.length)).toEqual(record);
  return record;
}

test("session.events(): hides keys in errors and exits, and keeps what Claude saw as it was", async () => {
  const key = "sk-very-secret-value-1";
  await using scene = await Scene.open({
    session: { env: { MY_TOKEN: key } },
    script: async (turn) => {
      if (turn.prompt === "fail") await turn.fail({ status: 400, message: `bad ${key}` });
      else if (turn.prompt === "crash") await turn.crash({ code: 3, stderr: `oops ${key}` });
      else await turn.toolUse("Bash", { command: "echo $MY_TOKEN" }, { result: key });
    },
  });
  for (const prompt of ["fail", "crash", "show"]) await scene.session.query(prompt).catch(() => {});
  const record = await collect(scene.session.events({ live: false }));
  expect(JSON.stringify(record)).toContain("[hidden]");
  expect(record.filter((event) => JSON.stringify(event).includes(key)).map(({ type }) => type)).toEqual([
    "tool_result",
  ]);
});

test("session.events(): every recorded event can be read again, however long its texts are", async () => {
  const long = "x".repeat(100_000);
  const task = { task_id: "t", task_type: "local_bash", description: long };
  await using scene = await Scene.open({
    session: { approvals: { timeout: "1m" } },
    script: async (turn) => {
      if (turn.prompt === "fail") {
        await turn.fail({ status: 400, message: long });
        return;
      }
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [task] });
      await turn.toolUse("Bash", { command: long }, { ask: true });
      await turn.toolUse("Read", { path: "a" }, { result: long });
      await turn.emit({
        type: "system",
        subtype: "task_notification",
        task_id: "t",
        status: "completed",
        summary: long,
      });
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [] });
      await turn.thinking(long);
      await turn.text(long);
    },
  });
  const live = scene.session.events({ after: 0 });
  await scene.session.query("fail").catch(() => {});
  const turn = scene.session.stream(long);
  await eventually(() => scene.session.approvals().length > 0);
  scene.session.approvals()[0]?.deny(long);
  await turn.result();
  const record = await recordOf(scene, live);
  expect(record.filter(({ type }) => type === "unknown")).toEqual([]);
  const large = record.filter((event) => JSON.stringify(event).length > 70_000);
  expect(large).toEqual([]);
  expect(record.map(({ type }) => type)).toEqual(expect.arrayContaining(["approval_settled", "task_ended", "text"]));
});
