import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { collect, eventually, Scene } from "./scene.ts";

const notice = (text: string) => ({
  type: "assistant",
  parent_tool_use_id: null,
  message: {
    id: `msg_${text}`,
    type: "message",
    role: "assistant",
    model: "m",
    content: [{ type: "text", text }],
    stop_reason: null,
    usage: { input_tokens: 0, output_tokens: 0 },
  },
});

test("Dispatcher: gives a message after a turn's result to neither that turn nor the next", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "one") {
        turn.afterResult(async () => {
          await turn.emit(notice("a background task has finished"));
        });
      }
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const one = stream(scene.name, "one");
  const two = stream(scene.name, "two");
  const texts = await Promise.all([collect(one.text()), collect(two.text())]);
  expect(texts.map((text) => text.join(""))).toEqual(["re: one", "re: two"]);
});

test("Dispatcher: gives a message that arrives while no turn runs to no turn", async () => {
  await using scene = await Scene.open();
  await query(scene.name, "one");
  const before = scene.session.status().lastSignOfLife;
  const { sessionId } = scene.fake.processes[0] ?? { sessionId: "" };
  const late = { ...notice("late news"), session_id: sessionId, uuid: randomUUID() };
  scene.fake.processes[0]?.write(`${JSON.stringify(late)}\n`);
  expect(before).toBeDefined();
  const turn = stream(scene.name, "two");
  expect((await collect(turn.text())).join("")).toBe("You said: two");
});

test("Dispatcher: does not end a turn by a result that answers another prompt", async () => {
  const gone = randomUUID();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit({
        type: "result",
        subtype: "success",
        is_error: false,
        duration_ms: 0,
        duration_api_ms: 0,
        num_turns: 1,
        result: "somebody else's answer",
        stop_reason: null,
        total_cost_usd: 0,
        usage: {},
        modelUsage: {},
        permission_denials: [],
        user_message_uuid: gone,
        user_message_uuids: [gone],
      });
      await turn.text("the answer");
    },
  });
  expect((await query(scene.name, "hi")).text).toBe("the answer");
});

test("turn.text(): leaves out subagents", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit({ ...notice("subagent's text"), parent_tool_use_id: "toolu_1" });
      await turn.text("the answer");
    },
  });
  const turn = stream(scene.name, "hi");
  expect((await collect(turn.text())).join("")).toBe("the answer");
});

test("Session: ignores messages of unknown types", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.emit({ type: "brand_new", subtype: "thing", payload: [1, 2, 3] });
      await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [] });
      await turn.text("fine");
    },
  });
  expect((await query(scene.name, "hi")).text).toBe("fine");
  await eventually(() => scene.session.status().state === "idle");
});
