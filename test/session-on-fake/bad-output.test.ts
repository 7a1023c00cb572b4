import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { eventually, failure, Scene } from "./scene.ts";

test("a line of 20 MB is a message like any other", async () => {
  const megabytes = 20 * 1024 * 1024;
  await using scene = await Scene.open({ script: (turn) => turn.text("x".repeat(megabytes), { partials: false }) });
  const { text } = await query(scene.name, "go");
  expect(text.length).toBe(megabytes);
  expect(text).toMatch(/^x{1000}/);
  expect(scene.fake.processes).toHaveLength(1);
});

const garbage: readonly (readonly [string, string | Buffer])[] = [
  ["text that is not JSON", "Segmentation fault (core dumped)"],
  ["half a line", Buffer.from('{"type":"assistant","mess\n')],
  ["a NUL", Buffer.from('{"type":"system\0"}\n')],
  ["a JSON that is no object", "[1,2,3]"],
  ["bytes that are no UTF-8", Buffer.from([0xff, 0xfe, 0xfd, 0x0a])],
];

test.each(garbage)("%s in an untouched turn: the session is restarted and the turn runs again", async (_, bytes) => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) {
        await turn.raw(bytes);
        await turn.hang();
      }
      await turn.text("sound");
    },
  });
  expect((await query(scene.name, "go")).text).toBe("sound");
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.session.status().lastExit?.class).toBe("crash");
  expect(scene.session.status().lastExit?.message).toContain("output");
});

test.each(garbage)("%s in a touched turn: a typed error, and the next turn is answered", async (_, bytes) => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "bad") {
        await turn.partial("so far");
        await turn.raw(bytes);
        await turn.hang();
      }
      await turn.text("sound");
    },
  });
  const turn = stream(scene.name, "bad");
  const error = await failure(turn.result(), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ partialText: "so far", exit: { class: "crash" } });
  expect((await query(scene.name, "next")).text).toBe("sound");
});

test("half a line and then death is a crash, with what had arrived", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("so far");
      await turn.raw(Buffer.from('{"type":"result","subtype":"succ'));
      await turn.crash({ signal: "SIGKILL" });
    },
  });
  const error = await failure(query(scene.name, "go"), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ partialText: "so far", exit: { signal: "SIGKILL" } });
});

test("garbage between two turns costs a process, but no turn", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`${turn.history.length}`) });
  await query(scene.name, "one");
  scene.fake.processes[0]?.write("what?\n");
  await eventually(() => scene.fake.processes[0]?.state === "exited");
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("a flood of messages is read to its end", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("y".repeat(20_000), { partials: 20_000 }) });
  const turn = stream(scene.name, "go");
  let length = 0;
  for await (const text of turn.text()) length += text.length;
  expect(length).toBe(20_000);
  expect((await turn.result()).text).toHaveLength(20_000);
});

test("error output is kept with the exit, its last 2 kB", async () => {
  await using scene = await Scene.open({
    session: { onInterruptedTurn: "fail" },
    script: (turn) => turn.crash({ stderr: `${"noise ".repeat(1000)}\nlast words\n` }),
  });
  const error = await failure(query(scene.name, "go"), "TURN_INTERRUPTED");
  const stderr = error.details.exit?.stderr ?? "";
  expect(stderr.length).toBeLessThanOrEqual(2048);
  expect(stderr.endsWith("last words")).toBe(true);
  expect(error.message).toContain("last words");
});

/** Messages that are JSON, of a type that is read, and of a form that it does not have. */
const malformed: readonly (readonly [string, object])[] = [
  ["an answer without content", { type: "assistant", message: {} }],
  ["an answer whose blocks are none", { type: "assistant", message: { content: [null] } }],
  ["a message of a user that is nothing", { type: "user", message: null }],
  [
    "a part of an answer that is nothing",
    { type: "stream_event", event: { type: "content_block_delta", delta: null } },
  ],
  ["a result without text", { type: "result", subtype: "success", is_error: false, modelUsage: {} }],
  [
    "a result whose figures are none",
    { type: "result", subtype: "success", is_error: false, result: "x", modelUsage: { m: null } },
  ],
  ["a list of tasks that is none", { type: "system", subtype: "background_tasks_changed", tasks: null }],
  ["a list of tasks that are none", { type: "system", subtype: "background_tasks_changed", tasks: ["constructor"] }],
  ["a conversation that is a path", { type: "system", subtype: "init", session_id: "../../../etc/passwd" }],
];

/** So much JSON inside JSON, of which none is wrong. */
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

test.each([
  ["a tool's input", (json: string) => `{"type":"tool_use","id":"toolu_1","name":"Bash","input":${json}}`],
  ["a block that nobody knows", (json: string) => `{"type":"new","content":${json}}`],
])(
  "%s that is nested deeper than any call stack ends the process with a reason, and not the turn with a bare error",
  async (_, block) => {
    const message = `{"type":"assistant","message":{"id":"m","role":"assistant","model":"m","content":[${block(nested(50_000))}]},"parent_tool_use_id":null}`;
    await using scene = await Scene.open({
      script: async (turn) => {
        if (turn.prompt === "bad") {
          await turn.partial("so far");
          await turn.raw(message);
          await turn.hang();
        }
        await turn.text("sound");
      },
    });
    const error = await failure(query(scene.name, "bad"), "TURN_INTERRUPTED");
    expect(error.details.exit).toMatchObject({ class: "crash", message: expect.stringContaining("nested more than") });
    expect((await query(scene.name, "next")).text).toBe("sound");
  },
);

test.each(malformed)("%s ends the process with a reason, and the session answers the next turn", async (_, message) => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "bad") {
        await turn.partial("so far");
        await turn.raw(`${JSON.stringify(message)}\n`);
        await turn.hang();
      }
      await turn.text("sound");
    },
  });
  const { conversationId } = scene.session.status();
  const error = await failure(query(scene.name, "bad"), "TURN_INTERRUPTED");
  expect(error.details.exit).toMatchObject({
    class: "crash",
    message: expect.stringContaining("output of Claude Code broke"),
  });
  expect((await query(scene.name, "next")).text).toBe("sound");
  expect(scene.session.status()).toMatchObject({ conversationId, state: "idle", backgroundTasks: 0 });
});
