import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { eventually, failure, Scene } from "./scene.ts";

test("Process output: reads a line of 20 MB as one message", async () => {
  const megabytes = 20 * 1024 * 1024;
  await using scene = await Scene.open({ script: (turn) => turn.text("x".repeat(megabytes), { partials: false }) });
  const { text } = await query(scene.name, "go");
  expect(text.length).toBe(megabytes);
  expect(text).toMatch(/^x{1000}/);
  expect(scene.fake.processes).toHaveLength(1);
});

const garbage: readonly (readonly [string, string | Buffer])[] = [
  ["text that is not JSON", "Segmentation fault (core dumped)"],
  ["half a line of JSON", Buffer.from('{"type":"assistant","mess\n')],
  ["a NUL byte", Buffer.from('{"type":"system\0"}\n')],
  ["JSON that is not an object", "[1,2,3]"],
  ["bytes that are not UTF-8", Buffer.from([0xff, 0xfe, 0xfd, 0x0a])],
];

test.each(garbage)("Process output: %s in an untouched turn is a crash and retries the turn", async (_, bytes) => {
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

test.each(garbage)("Process output: %s in a touched turn rejects it with TURN_INTERRUPTED", async (_, bytes) => {
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

test("Process output: half a line before the death is a crash, and the error carries the partial text", async () => {
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

test("Process output: garbage between two turns replaces the process and loses no turn", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`${turn.history.length}`) });
  await query(scene.name, "one");
  scene.fake.processes[0]?.write("what?\n");
  await eventually(() => scene.fake.processes[0]?.state === "exited");
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("turn.text(): yields all of 20,000 partial messages", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("y".repeat(20_000), { partials: 20_000 }) });
  const turn = stream(scene.name, "go");
  let length = 0;
  for await (const text of turn.text()) length += text.length;
  expect(length).toBe(20_000);
  expect((await turn.result()).text).toHaveLength(20_000);
});

test("exit.stderr: keeps the last 2 kB of the error output", async () => {
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

/** Valid JSON of a known message type, with fields of the wrong shape. */
const malformed: readonly (readonly [string, object])[] = [
  ["an answer without content", { type: "assistant", message: {} }],
  ["an answer with a null block", { type: "assistant", message: { content: [null] } }],
  ["a null user message", { type: "user", message: null }],
  ["a delta that is null", { type: "stream_event", event: { type: "content_block_delta", delta: null } }],
  ["a result without text", { type: "result", subtype: "success", is_error: false, modelUsage: {} }],
  [
    "a result with null usage of a model",
    { type: "result", subtype: "success", is_error: false, result: "x", modelUsage: { m: null } },
  ],
  ["a null list of tasks", { type: "system", subtype: "background_tasks_changed", tasks: null }],
  [
    "a list of tasks with a string in it",
    { type: "system", subtype: "background_tasks_changed", tasks: ["constructor"] },
  ],
  ["a session id that is a path", { type: "system", subtype: "init", session_id: "../../../etc/passwd" }],
  [
    "an `init` whose MCP servers are no list",
    { type: "system", subtype: "init", session_id: "00000000-0000-4000-8000-000000000000", mcp_servers: "many" },
  ],
];

/** Valid JSON, nested to this depth. */
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

test.each([
  ["a tool's input", (json: string) => `{"type":"tool_use","id":"toolu_1","name":"Bash","input":${json}}`],
  ["a block of an unknown type", (json: string) => `{"type":"new","content":${json}}`],
])(
  "Process output: %s that is nested deeper than any call stack ends the process, and the error says why",
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

test.each(malformed)("Process output: %s is a crash, and the next turn is answered", async (_, message) => {
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
    message: expect.stringContaining("Claude Code's output is invalid"),
  });
  expect((await query(scene.name, "next")).text).toBe("sound");
  expect(scene.session.status()).toMatchObject({ conversationId, state: "idle", backgroundTasks: 0 });
});
