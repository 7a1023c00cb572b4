import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { Delta } from "../../src/claude/messages/shown.ts";
import { collect, failure, Scene, thrown } from "./scene.ts";

test("Turn: serves text, thinking, deltas, tool uses and messages to concurrent readers", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.thinking("let me see");
      await turn.toolUse("Read", { file_path: "/tmp/x" }, { result: "content" });
      await turn.text("The answer is forty-two, as always.", { partials: 5 });
    },
  });
  const turn = stream(scene.name, "what is it?");
  const [text, thinking, deltas, toolUses, messages, reply] = await Promise.all([
    collect(turn.text()),
    collect(turn.thinking()),
    collect(turn.deltas()),
    collect(turn.toolUses()),
    collect(turn.messages()),
    turn.result(),
  ]);
  expect(text.length).toBeGreaterThan(1);
  expect(text.join("")).toBe("The answer is forty-two, as always.");
  expect(thinking.join("")).toBe("let me see");
  const joined = (type: Delta["type"]) => deltas.filter((delta) => delta.type === type).map((delta) => delta.text);
  expect(joined("text")).toEqual(text);
  expect(joined("thinking")).toEqual(thinking);
  expect(toolUses).toMatchObject([{ name: "Read", input: { file_path: "/tmp/x" } }]);
  expect(messages.map(({ number }) => number)).toEqual(messages.map((_, at) => at));
  expect(messages.at(-1)?.message.type).toBe("result");
  expect(reply).toMatchObject({ text: "The answer is forty-two, as always.", turnId: turn.id, stopReason: "end_turn" });
  expect(turn.state).toBe("completed");
  // A late reader, or one from a number, sees the same.
  expect(await collect(turn.messages(messages.length - 2))).toEqual(messages.slice(-2));
  expect((await collect(turn.text())).join("")).toBe(reply.text);
});

test("turn.text(): yields whole blocks without `includePartialMessages`", async () => {
  await using scene = await Scene.open({
    session: { includePartialMessages: false },
    script: async (turn) => {
      await turn.text("first, ");
      await turn.toolUse("Read", {}, { result: "x" });
      await turn.text("second");
    },
  });
  const turn = stream(scene.name, "go");
  expect(await collect(turn.text())).toEqual(["first, ", "second"]);
  expect((await turn.result()).text).toBe("second");
});

test("Reply: has the structured output and the conversation's id", async () => {
  await using scene = await Scene.open({
    session: { outputFormat: { type: "json_schema", schema: { type: "object" } } },
    script: (turn) => turn.result({ text: '{"a":1}', structuredOutput: { a: 1 } }),
  });
  const reply = await query(scene.name, "go");
  expect(reply).toMatchObject({ structured: { a: 1 }, sessionId: scene.session.status().conversationId });
  expect(reply.durationMs).toBeGreaterThanOrEqual(0);
});

test("Session: runs turns one at a time, in order, and each gets its own answer", async () => {
  let running = 0;
  let most = 0;
  await using scene = await Scene.open({
    script: async (turn) => {
      running += 1;
      most = Math.max(most, running);
      await turn.text(`re: ${turn.prompt}`);
      running -= 1;
    },
  });
  const prompts = Array.from({ length: 50 }, (_, n) => `question ${n}`);
  const replies = await Promise.all(prompts.map((prompt) => query(scene.name, prompt)));
  expect(replies.map(({ text }) => text)).toEqual(prompts.map((prompt) => `re: ${prompt}`));
  expect(most).toBe(1);
  expect(scene.fake.processes[0]?.prompts).toEqual(prompts);
  expect(new Set(replies.map(({ turnId }) => turnId)).size).toBe(50);
});

test("Turn: leaving its loop detaches the reader, and the next turn gets its own answer", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial(`first part of ${turn.prompt}, `);
      if (turn.prompt === "one") await open.promise;
      await turn.text("and the rest");
    },
  });
  const first = stream(scene.name, "one");
  let seen = 0;
  for await (const _ of first) {
    seen += 1;
    if (seen === 2) break;
  }
  const second = query(scene.name, "two");
  open.resolve();
  expect((await second).text).toBe("first part of two, and the rest");
  expect((await first.result()).text).toBe("first part of one, and the rest");
});

test("turn.text(): a slow reader delays no turn and misses nothing", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("x".repeat(2000), { partials: 2000 }) });
  const turn = stream(scene.name, "one");
  const reader = turn.text()[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe("x");
  await turn.result();
  await query(scene.name, "two");
  let rest = 1;
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) rest += next.value.length;
  expect(rest).toBe(2000);
});

test("Turn: an unread turn that is interrupted causes no unhandled rejection", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.crash(), session: { onInterruptedTurn: "fail" } });
  const turn = stream(scene.name, "hi");
  await scene.fake.started(2);
  expect(turn.state).toBe("interrupted");
  // The scene's disposal checks for rejections.
});

test.each([
  ["empty", ""],
  ["blank", " \n\t "],
])("query(): rejects a prompt that is %s before it is queued", async (_, prompt) => {
  await using scene = await Scene.open();
  const error = await failure(query(scene.name, prompt), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("prompt");
  await thrown(() => stream(scene.name, prompt), "INVALID_OPTIONS");
  expect(scene.session.status().mailbox).toBe(0);
  expect(scene.fake.processes[0]?.prompts).toEqual([]);
});

test.each([undefined, null, 42, {}, ["text"], Symbol("x")])(
  "query(): rejects a prompt that is not text: %s",
  async (prompt) => {
    await using scene = await Scene.open();
    // @ts-expect-error: input of an untyped caller
    const error = await failure(query(scene.name, prompt), "INVALID_OPTIONS");
    expect(error.message).toContain("expected ");
    expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  },
);

test("query(): passes a prompt of 5 MB unchanged", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.text(`${turn.prompt.length} ${turn.prompt.slice(-3)}`),
  });
  const prompt = `${"ü".repeat(2_500_000)}end`;
  expect((await query(scene.name, prompt)).text).toBe("2500003 end");
});

test("query(): rejects a prompt beyond the limit, which the message states", async () => {
  await using scene = await Scene.open();
  const error = await failure(query(scene.name, "x".repeat(20_000_001)), "INVALID_OPTIONS");
  expect(error.message).toContain("20000000");
});

test("query(): rejects wrong turn options, and options of a session", async () => {
  await using scene = await Scene.open();
  await failure(query(scene.name, "hi", { timeout: "soon" }), "INVALID_OPTIONS");
  // @ts-expect-error: an option of a session
  const error = await failure(query(scene.name, "hi", { systemPrompt: "x" }), "INVALID_OPTIONS");
  expect(error.message).toContain("option of a session");
  // @ts-expect-error: input of an untyped caller
  await failure(query(scene.name, "hi", null), "INVALID_OPTIONS");
});
